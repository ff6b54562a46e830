"""Files in which a box occurs twice on one capture."""

import json
from collections.abc import Callable
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from ami.base.tests.factories import make_algorithm, make_classification, make_detection
from ami.base.tests.shared import CASES, third_party_files
from ami.base.tests.snapshots import snapshot
from ami.exchange.importing import survey, work
from ami.exchange.tests.export_world import World, exported
from ami.exchange.tests.exports import MODELS, ROWS, make_record, plan_in
from ami.exchange.tests.present import results
from ami.main.models import Classification, Detection, Identification, Occurrence, SourceImage

pytestmark = pytest.mark.django_db
Run = Callable[..., str]
ADDRESS = "https://images.example.org/"


def told(plan: Any) -> list[tuple[str, str, str]]:
    return [
        (one["model"], one["place"], one["name"])
        for one in plan["entries"]
        if one["outcome"] not in {"created", "unchanged"}
    ]


def twins() -> list[dict[str, Any]]:
    """Three occurrences: the second repeats a box of the first, and the third all of them."""
    first, second, third = make_record(1), make_record(2), make_record(3)
    second["examples"][1]["bbox"] = first["examples"][1]["bbox"]
    third["examples"] = deepcopy(first["examples"])
    third["label"] = "Actias selene"
    return [first, second, third]


REPEATED = [
    ("detection", "[1].examples[1]", "occurrence-2, night/1.jpg"),
    ("detection", "[2].examples[0]", "occurrence-3, night/0.jpg"),
    ("detection", "[2].examples[1]", "occurrence-3, night/1.jpg"),
    ("occurrence", "[2]", "occurrence-3"),
]


def test_a_repeated_box_is_one_detection_and_is_listed(import_export: Run) -> None:
    plan = plan_in(import_export(twins(), format="json"))

    assert told(plan) == REPEATED
    reasons = [one["reason"] for one in plan["entries"] if one["outcome"] == "skipped"]
    assert reasons[0] == (
        "has the same box as [0].examples[1], so they are one detection: results of other "
        "algorithms are added to it, and the rest is left out"
    )
    assert reasons[3] == (
        "has no box of its own, so it is the individual of [0].examples[0], which gets its "
        "identifications"
    )
    assert Detection.objects.count() == Classification.objects.count() == 3
    one, two = Occurrence.objects.order_by("pk")
    assert (one.detections.count(), two.detections.count()) == (2, 1)
    # The name that none of its detections has was given by a person.
    assert Identification.objects.get().occurrence == one
    assert str(one.determination) == "Actias selene"


def test_the_second_import_changes_nothing_even_with_update(import_export: Run) -> None:
    data = twins()
    data[1]["examples"][1]["label"] = "Actias maenas"
    import_export(data)
    before = snapshot(*MODELS, Identification)

    again = plan_in(import_export(data, "--update", format="json"))

    assert not again["counts"]["created"]
    assert not again["counts"]["changed"]
    assert told(again) == REPEATED
    assert snapshot(*MODELS, Identification) == before


@pytest.mark.parametrize("size", [1, 2])
def test_batches_do_not_change_what_is_told_or_written(
    import_export: Run, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    data = [*twins(), make_record(4), *(one | {"id": f"{one['id']}b"} for one in twins())]
    at_once = plan_in(import_export(data, format="json"))
    first = {model: model._default_manager.count() for model in ROWS}
    for module in (survey, work):
        monkeypatch.setattr(module, "BATCH", size)
    monkeypatch.setattr(work, "ATOMIC_BELOW", 0)

    in_batches = plan_in(import_export(data, project="Other", format="json"))

    assert told(in_batches) == told(at_once)
    assert {model: model._default_manager.count() / 2 for model in ROWS} == first


def test_results_of_another_algorithm_are_added(tmp_path: Path) -> None:
    one = results(["Actias luna", "Actias selene"], [0.7, 0.3])
    text = json.dumps(results(["Actias luna", "Noctua pronuba"], [0.1, 0.9]))
    other = json.loads(text.replace("Moth", "Other"))
    for name, document in (("a", one), ("b", one), ("c", other)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))

    def load() -> str:
        out = StringIO()
        call_command("import_occurrences", str(tmp_path), "--project=P", stdout=out)
        return out.getvalue()

    assert "Skipped: 2 occurrences, 2 detections." in load()
    assert Detection.objects.count() == Occurrence.objects.count() == 1
    found = Classification.objects.order_by("pk").values_list("algorithm__name", "scores")
    assert list(found) == [("Moth", [0.7, 0.3]), ("Other", [0.1, 0.9])]
    assert "nothing was changed" in load()
    assert Classification.objects.count() == 2


def test_boxes_in_shares_that_only_round_to_the_same_are_two(import_export: Run) -> None:
    record = make_record(1, captures=1)
    other = deepcopy(record) | {"id": "occurrence-2"}
    record["examples"][0]["bbox"] = [0.1, 0.1, 0.2, 0.2]
    other["examples"][0]["bbox"] = [0.100001, 0.1, 0.2, 0.2]

    plan = plan_in(import_export([record, other], "--boxes=fractions", format="json"))

    assert told(plan) == []
    assert Detection.objects.count() == 2


doubled = third_party_files(CASES / "03-other-crop-path-doubles/k3_dupbox.json")


def test_a_file_with_two_crops_of_each_box_is_not_doubled(
    import_export: Run, doubled: Path
) -> None:
    records = json.loads(doubled.read_text())
    import_export(records)

    assert len(records) == 6
    assert Detection.objects.count() == Occurrence.objects.count() == 3


@pytest.mark.parametrize("key", ["camtrap_dp", "megadetector", "coco_camera_traps", "antenna_csv"])
def test_an_export_of_such_rows_comes_back(key: str, tmp_path: Path) -> None:
    world = World()
    world.second.detections.update(bbox=[300, 300, 400, 400])
    box = world.first.detections.order_by("pk").last()
    assert box
    twin = make_detection(
        source_image=box.source_image, occurrence=world.second, bbox=box.bbox, path="crops/t.jpg"
    )
    other = make_algorithm(name="Other net")
    make_classification(detection=twin, taxon=world.machine, score=0.99, algorithm=other)
    path = exported(key, world.scope, tmp_path).path

    def load() -> Any:
        out = StringIO()
        options = ["--deployment=T"] if key == "megadetector" else []
        call_command(
            *("import_occurrences", str(path), "--project=Copy", *options),
            format="json",
            stdout=out,
        )
        return plan_in(out.getvalue())

    first = load()
    assert {place for model, place, _ in told(first) if model == "detection"}
    captures = SourceImage.objects.filter(project__name="Copy")
    rows = Detection.objects.filter(source_image__in=captures)
    expected = Detection.objects.filter(source_image__project=world.project).exclude(pk=twin.pk)
    if key != "antenna_csv":  # which has the best detections only
        assert rows.count() == expected.count()
    if key in {"camtrap_dp", "coco_camera_traps"}:
        assert Occurrence.objects.filter(project__name="Copy").count() == 2
    before = snapshot(*ROWS)
    again = load()
    assert not again["counts"]["created"]
    assert not again["counts"]["changed"]
    assert not again["counts"]["differs"]
    assert told(again) == told(first)
    assert snapshot(*ROWS) == before
