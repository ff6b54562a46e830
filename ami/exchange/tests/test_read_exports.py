"""What the project writes, its readers read again."""

from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_detection,
    make_occurrence,
    make_project,
)
from ami.exchange.reading.records import (
    AlgorithmRecord,
    CaptureRecord,
    ClassificationRecord,
    DetectionRecord,
    EmptyCapture,
    IdentificationRecord,
)
from ami.exchange.tests.export_world import World, exported
from ami.exchange.tests.reading import detections, empty, faults, items, occurrences, skipped
from ami.main.models import Classification, Detection, Identification, Occurrence

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World()


def pixels(detection: DetectionRecord) -> list[float]:
    """The box in pixels."""
    width = height = 1000 if detection.fractions else 1
    sides = (width, height, width, height)
    return [share * side for share, side in zip(detection.bbox, sides, strict=True)]


def read_again(key: str, world: World, folder: Path) -> list[Any]:
    """The items of an export, none of which is a fault."""
    found = items(exported(key, world.scope, folder).path, key)
    assert not faults(found)
    return found


def expected_boxes() -> list[tuple[str, Any]]:
    rows = Detection.objects.order_by("source_image_id", "pk").select_related("source_image")
    return [(one.source_image.path, pytest.approx(one.bbox, abs=1e-6)) for one in rows]


def test_megadetector_comes_back(world: World, tmp_path: Path) -> None:
    found = read_again("megadetector", world, tmp_path)
    assert [(one.capture.path, pixels(one)) for one in detections(found)] == expected_boxes()
    assert [(one.score, one.algorithm) for one in detections(found)] == [(0.7, None)] * 3
    assert [
        (one.label, one.score)
        for detection in detections(found)
        for one in detection.classifications
    ] == [("Acronicta impleta", 1.0), ("Acronicta rumicis", 0.6), ("Acronicta impleta", 1.0)]
    assert {one.capture.timestamp for one in detections(found)} == {datetime(2022, 6, 20, 19)}
    assert {(one.capture.width, one.capture.height) for one in detections(found)} == {(1000, 1000)}


def test_camtrap_dp_comes_back(world: World, tmp_path: Path) -> None:
    bare = make_capture(deployment=world.deployment, event=world.night)
    found = read_again("camtrap_dp", world, tmp_path)
    assert not skipped(found)
    assert sorted((one.capture.path, pixels(one)) for one in detections(found)) == expected_boxes()
    first, second = occurrences(found)
    assert [len(first.detections), len(second.detections)] == [2, 1]
    assert (first.label, second.label) == ("Acronicta impleta", "Acronicta rumicis")
    (person,) = first.identifications
    assert (person.label, person.person, person.blind) == ("Acronicta impleta", "Ada", False)
    assert second.identifications == []
    capture = first.detections[0].capture
    assert capture == CaptureRecord("Trap 1", "night/a.jpg", NIGHT, 1000, 1000)
    assert empty(found) == [bare.path]


def test_camtrap_dp_brings_the_lineage_back(world: World, tmp_path: Path) -> None:
    found = read_again("camtrap_dp", world, tmp_path)
    expected = [
        (row.taxon.name, row.score, row.terminal, row.timestamp, row.algorithm.version, str(row.pk))
        for row in Classification.objects.order_by("detection__source_image_id", "pk")
        if row.taxon and row.algorithm
    ]
    read = [
        (one.label, one.score, one.terminal, one.timestamp, one.algorithm.version, one.key)
        for detection in sorted(detections(found), key=lambda one: (one.capture.path, one.place))
        for one in detection.classifications
        if one.algorithm
    ]
    assert read == expected
    latter = detections(found)[0].classifications[1]
    assert latter.applied_to == detections(found)[0].classifications[0].key
    assert latter.algorithm == AlgorithmRecord("Moth net", 3)
    # The person agreed with somebody, and the file does not say with whom.
    assert occurrences(found)[0].identifications[0].agreed_with_prediction


def test_coco_camera_traps_comes_back(world: World, tmp_path: Path) -> None:
    bare = make_capture(deployment=world.deployment, event=world.night)
    found = read_again("coco_camera_traps", world, tmp_path)
    assert not skipped(found)
    assert sorted((one.capture.path, pixels(one)) for one in detections(found)) == expected_boxes()
    first, second = occurrences(found)
    assert first.identifications == [IdentificationRecord("Acronicta impleta", "Ada")]
    assert second.detections[0].classifications == [
        ClassificationRecord("Acronicta rumicis", 0.6, AlgorithmRecord("Moth net"))
    ]
    capture = first.detections[0].capture
    assert capture == CaptureRecord("Trap 1", "night/a.jpg", datetime(2022, 6, 20, 19), 1000, 1000)
    assert empty(found) == [bare.path]


def test_pictures_of_darwin_core_come_back(world: World, tmp_path: Path) -> None:
    address = "https://images.example.org/"
    found = items(
        exported("darwin_core", world.scope, tmp_path, media_url=address).path, "darwin_core"
    )
    assert not faults(found)
    captures = [one.capture for one in found if isinstance(one, EmptyCapture)]
    assert captures == [
        CaptureRecord("Trap 1", f"{address}night/{name}.jpg", NIGHT) for name in "ab"
    ]
    assert [name for _, name, _ in skipped(found)] == ["Acronicta impleta", "Acronicta rumicis"]


def test_camtrap_dp_is_imported_into_another_project(world: World, tmp_path: Path) -> None:
    Identification.objects.filter(user=world.people[0]).update(blind=True)
    Detection.objects.filter(occurrence=world.second).update(bbox=[300.5, 300, 400, 450.25])
    path = exported("camtrap_dp", world.scope, tmp_path).path
    make_project(name="Copy")
    call_command("import_occurrences", path, project="Copy", stdout=StringIO())
    first, second = Occurrence.objects.filter(project__name="Copy").order_by("pk")
    assert (first.determination, second.determination) == (world.human, world.machine)
    assert [one.bbox for one in second.detections.all()] == [[300.5, 300, 400, 450.25]]
    latter = Classification.objects.filter(detection__occurrence=second).latest("pk")
    assert (latter.algorithm, latter.score) == (world.classifier, 0.6)
    assert latter.applied_to
    person = first.identifications.get()
    assert (person.comment, person.blind) == ("Ada", True)
    assert person.agreed_with_prediction


texts = st.text("aZ0é蛾 ,;|'\"=+-_()", max_size=20).map(lambda text: f"N{text}x")
numbers = st.integers(0, 99_000).map(lambda number: number / 100)
sizes = st.integers(1, 200_000).map(lambda number: number / 100)
boxes = st.tuples(numbers, numbers, sizes, sizes).map(
    lambda box: [box[0], box[1], min(box[0] + box[2], 1000), min(box[1] + box[3], 1000)]
)


@pytest.mark.parametrize("key", ["camtrap_dp", "coco_camera_traps", "megadetector"])
@given(names=st.lists(texts, min_size=5, max_size=5), drawn=st.lists(boxes, max_size=4))
@hypothesis_settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_names_and_boxes_come_back(
    key: str, names: list[str], drawn: list[list[float]], tmp_path: Path
) -> None:
    words = ("deployment", "capture", "machine", "human", "person")
    with transaction.atomic():
        named = {word: f"{name} {word}" for word, name in zip(words, names, strict=True)}
        world = World(**named)
        for box in drawn:
            moth = make_occurrence(deployment=world.deployment, event=world.night)
            row = make_detection(source_image=world.captures[0], occurrence=moth, bbox=box)
            world._classify(row, 0.25)
            moth.save()
        found = read_again(key, world, tmp_path)
        rows = Detection.objects.select_related("source_image")
        expected: Any = sorted((row.source_image.path, row.bbox) for row in rows)
        read = sorted(
            (one.capture.path, [round(side, 4) for side in pixels(one)])
            for one in detections(found)
        )
        assert [path for path, _ in read] == [path for path, _ in expected]
        for (_, box), (_, was) in zip(read, expected, strict=True):
            assert box == pytest.approx(was, abs=1e-6)
        people = {one.label for each in occurrences(found) for one in each.identifications}
        machines = {one.label for each in detections(found) for one in each.classifications}
        assert people | machines >= {named["human"], named["machine"]}
        transaction.set_rollback(True)
