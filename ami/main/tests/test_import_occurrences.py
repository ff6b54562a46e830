import json
import sys
from collections.abc import Callable
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_project
from ami.base.tests.snapshots import snapshot
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    Taxon,
    TaxonRank,
    group_images_into_events,
)
from ami.ml.models import Algorithm, AlgorithmTaskType

pytestmark = pytest.mark.django_db

REAL = settings.ROOT.parent / "shared/data/vermont-occurrences.json"
needs_real_file = pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
MODELS = (
    Project,
    Deployment,
    Event,
    SourceImage,
    SourceImageCollection,
    Taxon,
    Occurrence,
    Detection,
    Classification,
    Algorithm,
)


def make_record(number: int, *, captures: int = 2, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"occurrence-{number}",
        "label": "Actias luna",
        "deployment": "Trap",
        "event": {"id": 1, "day": "2022-06-20T00:00:00.000"},
        "examples": [make_example(number, capture) for capture in range(captures)],
    } | fields


def make_example(number: int, capture: int, **fields: Any) -> dict[str, Any]:
    return {
        "source_image_path": f"night/{capture}.jpg",
        "source_image_width": 4096,
        "source_image_height": 2160,
        "label": "Actias luna",
        "score": 0.5,
        "cropped_image_path": f"crops/{number}-{capture}.jpg",
        "timestamp": f"2022-06-21T03:{capture:02d}:00.000Z",
        "bbox": [10, 20, 110, 220],
    } | fields


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    def run(data: Any, *options: str, project: str = "Vermont") -> str:
        path = tmp_path / "export.json"
        if isinstance(data, bytes):
            path.write_bytes(data)
        else:
            path.write_text(json.dumps(data))
        out = StringIO()
        call_command("import_occurrences", str(path), f"--project={project}", *options, stdout=out)
        return out.getvalue()

    return run


@needs_real_file
def test_real_file_is_loaded_whole() -> None:
    call_command("import_occurrences", str(REAL), "--project=Vermont", stdout=StringIO())

    project = Project.objects.get(name="Vermont")
    algorithm = Algorithm.objects.get()
    capture_set = project.sourceimage_collections.get()
    assert project.occurrences.count() == 95
    assert Detection.objects.count() == Classification.objects.count() == 333
    assert project.captures.filter(width=4096, height=2160).count() == 120
    assert capture_set.images.count() == 120
    assert set(Taxon.objects.values_list("rank", flat=True)) == {TaxonRank.SPECIES}
    assert project.taxa.count() == 46
    assert algorithm.task_type == AlgorithmTaskType.CLASSIFICATION
    assert algorithm.category_map is not None
    assert sorted(algorithm.category_map.labels) == sorted(
        project.taxa.values_list("name", flat=True)
    )
    assert not project.occurrences.filter(determination=None).exists()
    assert project.events.count() == 4


@needs_real_file
def test_second_import_of_real_file_changes_nothing() -> None:
    call_command("import_occurrences", str(REAL), "--project=Vermont", stdout=StringIO())
    before = snapshot(*MODELS)
    out = StringIO()

    call_command("import_occurrences", str(REAL), "--project=Vermont", stdout=out)

    assert snapshot(*MODELS) == before
    assert "nothing changed" in out.getvalue()


@needs_real_file
def test_nights_of_real_file_are_those_of_the_grouping() -> None:
    call_command("import_occurrences", str(REAL), "--project=Vermont", stdout=StringIO())
    before = list(SourceImage.objects.order_by("pk").values_list("event_id", flat=True))

    group_images_into_events(Deployment.objects.get())

    assert list(SourceImage.objects.order_by("pk").values_list("event_id", flat=True)) == before


def test_determination_times_and_counts_are_set(run: Callable[..., str]) -> None:
    record = make_record(1, captures=3)
    record["examples"][1] |= {"label": "Campaea perlata", "score": 0.9}

    run([record])

    occurrence = Occurrence.objects.select_related("determination", "event", "deployment").get()
    event, deployment = occurrence.event, occurrence.deployment
    assert occurrence.determination is not None
    assert event is not None
    assert deployment is not None
    assert (occurrence.determination.name, occurrence.determination_score) == (
        "Campaea perlata",
        0.9,
    )
    assert event.start is not None
    assert event.end is not None
    assert (event.start.minute, event.end.minute) == (0, 2)
    assert (event.captures_count, event.detections_count, event.occurrences_count) == (3, 3, 1)
    assert [getattr(deployment, name) for name in Deployment.COUNTS] == [1, 3, 3, 1]
    assert set(SourceImage.objects.values_list("detections_count", flat=True)) == {1}


def test_later_file_adds_to_what_is_there(run: Callable[..., str]) -> None:
    run([make_record(1)])
    occurrence = Occurrence.objects.get()

    run([make_record(1, captures=3), make_record(2)])

    assert occurrence.detections.count() == 3
    assert Occurrence.objects.count() == 2
    assert SourceImage.objects.count() == 3
    assert SourceImageCollection.objects.get().images.count() == 3
    assert "nothing changed" in run([make_record(1, captures=3), make_record(2)])


def test_detections_without_crop_are_told_apart_by_box(run: Callable[..., str]) -> None:
    first, second = (make_record(number, captures=1) for number in (1, 2))
    for number, record in enumerate((first, second)):
        record["examples"][0] |= {"cropped_image_path": None, "bbox": [number, 0, 50, 50.5]}

    run([first, second])

    assert Detection.objects.count() == 2
    assert "nothing changed" in run([first, second])


def test_category_map_grows_and_keeps_its_indexes(run: Callable[..., str]) -> None:
    run([make_record(1, captures=1)])
    other = make_record(2, captures=1)
    other["examples"][0]["label"] = "Abrostola urentis"

    run([other], project="Another")

    category_map = Algorithm.objects.select_related("category_map").get().category_map
    assert category_map is not None
    assert category_map.labels == ["Actias luna", "Abrostola urentis"]


def test_rank_is_unknown_where_the_label_does_not_tell(run: Callable[..., str]) -> None:
    labels = {
        "Actias luna": TaxonRank.SPECIES,
        "Noctuidae": TaxonRank.UNKNOWN,
        "Not identifiable": TaxonRank.UNKNOWN,
        "Probole alienaria-amicaria complex": TaxonRank.UNKNOWN,
    }
    examples = [make_example(1, number, label=label) for number, label in enumerate(labels)]

    run([make_record(1, examples=examples)])

    assert dict(Taxon.objects.values_list("name", "rank")) == labels
    assert Taxon.objects.get(identifiable=False).name == "Not identifiable"


def test_known_taxon_keeps_its_rank(run: Callable[..., str]) -> None:
    Taxon.objects.create(name="Actias luna", rank=TaxonRank.GENUS)

    run([make_record(1)])

    assert Taxon.objects.get().rank == TaxonRank.GENUS


def test_deployment_option_replaces_those_of_the_file(run: Callable[..., str]) -> None:
    run([make_record(1), make_record(2, deployment=None)], "--deployment=Meadow")

    assert Deployment.objects.get().name == "Meadow"


def test_project_is_created_and_said_so(run: Callable[..., str]) -> None:
    assert "new project 'Vermont'" in run([make_record(1)])


def test_two_projects_of_one_name_are_refused(run: Callable[..., str]) -> None:
    make_project(name="Vermont")
    make_project(name="Vermont")

    with pytest.raises(CommandError, match=r"^2 projects are named 'Vermont' \(ids \d+, \d+\)"):
        run([make_record(1)])

    assert not SourceImage.objects.exists()


FAULTS = [
    (["bbox"], [1, 2, 3], "must be four finite numbers x1, y1, x2, y2, got [1, 2, 3]."),
    (["bbox"], [1, 2, 3, float("nan")], "must be four finite numbers x1, y1, x2, y2, got [1, 2,"),
    (["bbox"], [1, 2, 3, "4"], "must be four finite numbers"),
    (["bbox"], [1, 2, 3, 10**400], "must be four finite numbers"),
    (["bbox"], None, "must be four finite numbers x1, y1, x2, y2, got null."),
    (["score"], 7, "must be a number from 0 to 1, got 7."),
    (["score"], float("nan"), "must be a number from 0 to 1, got NaN."),
    (["score"], True, "must be a number from 0 to 1, got true."),
    (["timestamp"], "2022-13-45T99:00:00Z", "must be a time with its offset, such as"),
    (["timestamp"], "2022-06-21T03:00:00", "must be a time with its offset, such as"),
    (["timestamp"], "0001-01-01T00:00:00+05:00", "must be a time with its offset, such as"),
    (["timestamp"], "yesterday", 'got "yesterday".'),
    (["timestamp"], None, "got null."),
    (["timestamp"], 1655780000, "got 1655780000."),
    (["source_image_width"], 0, "must be a whole number of pixels above 0, got 0."),
    (["source_image_height"], 2**31, "must be a whole number of pixels above 0"),
    (["source_image_path"], "", 'must be a text that is not empty, got "".'),
    (["label"], "x" * 256, "must be at most 255 characters long"),
    (["label"], "a\0b", "must be a text without NUL"),
    (["label"], "\ud800", "must be a text without NUL"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS)
def test_fault_is_named_by_its_path_and_nothing_is_written(
    run: Callable[..., str], path: list[str], value: Any, message: str
) -> None:
    data = [make_record(number) for number in range(5)]
    data[3]["examples"][1][path[0]] = value

    with pytest.raises(CommandError) as refusal:
        run(data)

    assert str(refusal.value).startswith(f"[3].examples[1].{path[0]}: ")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not any(snapshot(*MODELS).values())


@pytest.mark.parametrize("key", ["id", "label", "deployment", "event", "examples"])
def test_missing_key_of_an_occurrence_is_named(run: Callable[..., str], key: str) -> None:
    data = [make_record(1), make_record(2)]
    del data[1][key]

    with pytest.raises(CommandError) as refusal:
        run(data)

    assert str(refusal.value) == f"[1].{key}: is missing."


@pytest.mark.parametrize(
    "key",
    ["source_image_path", "source_image_width", "timestamp", "bbox", "label", "score"],
)
def test_missing_key_of_a_detection_is_named(run: Callable[..., str], key: str) -> None:
    data = [make_record(1)]
    del data[0]["examples"][0][key]

    with pytest.raises(CommandError) as refusal:
        run(data)

    assert str(refusal.value) == f"[0].examples[0].{key}: is missing."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event": 5}, "[0].event: must be an object, got 5."),
        ({"event": None}, "[0].event: must be an object, got null."),
        ({"event": {"day": "2022-02-30"}}, "[0].event.day: must be a date, such as"),
        ({"event": {}}, "[0].event.day: is missing."),
        ({"examples": []}, "[0].examples: must be a list of at least one detection, got []."),
        ({"examples": [3]}, "[0].examples[0]: must be an object, got 3."),
        ({"deployment": None}, "[0].deployment: must be a text that is not empty, got null."),
    ],
)
def test_fault_of_an_occurrence_is_named(
    run: Callable[..., str], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(CommandError) as refusal:
        run([make_record(0) | change])

    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON: "),
        (b"", "is not JSON: "),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": 1}', 'must hold a list of at least one occurrence, got {"a": 1}.'),
        (b"[]", "must hold a list of at least one occurrence, got []."),
        (b"[3]", "[0]: must be an object, got 3."),
        (b"\xff\xfe[", "is not UTF-8 text (byte 0)"),
        (b"[" + b"9" * 5000 + b"]", "is not JSON: "),
    ],
)
def test_what_is_no_export_is_refused(
    run: Callable[..., str], content: bytes, message: str
) -> None:
    with pytest.raises(CommandError) as refusal:
        run(content)

    assert message in str(refusal.value)
    assert not Project.objects.exists()


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(CommandError, match=message):
            call_command("import_occurrences", str(path), "--project=Vermont")


def test_first_ten_faults_are_listed(run: Callable[..., str]) -> None:
    data = [make_record(number, captures=1) for number in range(12)]
    for record in data:
        record["examples"][0]["score"] = 2

    with pytest.raises(CommandError) as refusal:
        run(data)

    lines = str(refusal.value).splitlines()
    assert len(lines) == 11
    assert lines[9].startswith("[9].examples[0].score: ")
    assert lines[10] == "… and 2 more."


def test_detection_told_twice_is_refused(run: Callable[..., str]) -> None:
    first, second = make_record(1), make_record(2)
    second["examples"][1] = deepcopy(first["examples"][0])

    with pytest.raises(
        CommandError, match=r"^\[1\]\.examples\[1\]: is the same detection as \[0\]"
    ):
        run([first, second])


def test_occurrence_told_twice_is_refused(run: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match=r'\[1\]\.id: "occurrence-1" stands at \[0\]\.id too'):
        run([make_record(1), make_record(1)])


def test_capture_told_in_two_ways_is_refused(run: Callable[..., str]) -> None:
    first, second = make_record(1), make_record(2)
    second["examples"][1]["source_image_width"] = 100

    with pytest.raises(
        CommandError, match=r"^\[1\]\.examples\[1\]: time, size or night of capture"
    ):
        run([first, second])


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_impossible_project_name_is_refused(run: Callable[..., str], name: str) -> None:
    with pytest.raises(CommandError, match=r"^--project: must be"):
        run([make_record(1)], project=name)


def test_queries_do_not_grow_with_rows(run: Callable[..., str]) -> None:
    def queries(records: int, project: str) -> int:
        data = [make_record(number, captures=4) for number in range(records)]
        with CaptureQueriesContext(connection) as context:
            run(data, project=project)
        return len(context)

    queries(1, "First: makes the taxa and the algorithm")

    assert queries(200, "Many") == queries(2, "Few")


def test_no_progress_bar_in_a_pipe(
    run: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    run([make_record(1)])

    assert capsys.readouterr().err == ""


def test_progress_bar_on_a_terminal(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    run([make_record(1)])

    assert "1/1" in capsys.readouterr().err
