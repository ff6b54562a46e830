"""Files of occurrences that differ from the database, or that people have corrected."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from ami.base.tests.shared import CASES, third_party
from ami.base.tests.snapshots import snapshot
from ami.exchange.tests import present
from ami.exchange.tests.exports import MODELS, make_example, make_record
from ami.main.models import Classification, Detection, Identification, Occurrence, SourceImage
from ami.users.models import User

pytestmark = pytest.mark.django_db
Import = Callable[..., str]


def corrected() -> dict[str, Any]:
    """The first record with another label and score, another crop, and a larger capture."""
    record = make_record(1)
    record["label"] = record["examples"][0]["label"] = "Actias selene"
    record["examples"][0] |= {"score": 0.9, "cropped_image_path": "other/1.jpg"}
    record["examples"][1]["source_image_width"] = 8192
    return record


def test_differences_are_listed_and_nothing_is_changed(import_export: Import) -> None:
    import_export([make_record(1)])
    before = snapshot(*MODELS)
    text = import_export([corrected()])
    assert "[0].examples[0]: 'occurrence-1, night/0.jpg': taxon: 'Actias luna' → " in text
    assert "'Actias selene'; score: 0.5 → 0.9; crop: 'crops/1-0.jpg' → 'other/1.jpg'" in text
    assert "[0].examples[1]: 'night/1.jpg': width: 4096 → 8192" in text
    after = snapshot(*MODELS)
    assert [row["name"] for row in after.pop("Taxon")] == ["Actias luna", "Actias selene"]
    assert after.pop("Algorithm") == before.pop("Algorithm")
    assert before.pop("Taxon")
    assert after == before


def test_update_changes_what_differs(import_export: Import) -> None:
    import_export([make_record(1)])
    text = import_export([corrected()], update=True)
    assert "Changed: 1 capture, 1 detection." in text
    assert "1 new taxon, 2 changed rows. To undo it, revert Job " in text
    occurrence = Occurrence.objects.get()
    assert str(occurrence.determination) == "Actias selene"
    assert set(Classification.objects.values_list("taxon__name", "score")) == {
        ("Actias selene", 0.9),
        ("Actias luna", 0.5),
    }
    assert Detection.objects.filter(path="other/1.jpg").count() == 1
    assert SourceImage.objects.filter(width=8192).count() == 1
    assert "nothing was changed" in import_export([corrected()], update=True)


def test_update_of_a_time_moves_the_detections_and_the_night(import_export: Import) -> None:
    import_export([make_record(1)])
    record = make_record(1)
    for example in record["examples"]:
        example["timestamp"] = example["timestamp"].replace("2022-06-21", "2022-06-25")
    record["event"]["day"] = "2022-06-24"

    import_export([record], update=True)
    for capture in SourceImage.objects.all():
        assert {one.timestamp for one in capture.detections.all()} == {capture.timestamp}
        assert str(capture.event) == "2022-06-24"
    assert str(Occurrence.objects.get().event) == "2022-06-24"


def test_a_missing_score_is_no_difference(import_export: Import) -> None:
    import_export([present.occurrence()])
    record = present.classification(1, score=None)
    data = [present.occurrence(detections=[present.detection(classifications=[record])])]

    assert "already contains all rows" in import_export(data, update=True)
    assert Classification.objects.get().score == 0.5


def test_update_replaces_vectors_with_the_score(import_export: Import) -> None:
    labels = ["Actias luna", "Actias selene"]
    import_export(present.results(labels, [0.9, 0.1]))
    began = timezone.now()
    import_export(present.results(labels, [0.6, 0.4]), update=True)

    row = Classification.objects.get()
    assert (row.score, row.scores, row.logits) == (0.6, [0.6, 0.4], [0.6, 0.4])
    assert row.updated_at > began


def test_a_dry_run_tells_the_same_and_writes_nothing(import_export: Import) -> None:
    before = snapshot(*MODELS)
    text = import_export([make_record(1)], dry_run=True)
    assert (
        "Created: 1 project, 1 deployment, 1 taxon, 1 algorithm, 1 night, 2 captures, "
        "1 occurrence, 2 detections, 2 classifications." in text
    )
    assert text.endswith("This was a dry run; nothing was written.\n")
    assert snapshot(*MODELS) == before
    found = json.loads(import_export([make_record(1)], format="json", dry_run=True))
    assert (found["written"], found["counts"]["created"]["detection"]) == (False, 2)


def test_a_detection_is_its_box_whatever_its_crop_is_called(import_export: Import) -> None:
    import_export([make_record(1)])
    record = make_record(1)
    for example in record["examples"]:
        example["cropped_image_path"] = None
        example["bbox"] = [number + 1e-7 for number in example["bbox"]]
    assert "already contains all rows" in import_export([record])
    assert Detection.objects.count() == 2


def test_a_determination_that_no_detection_has_is_a_persons(import_export: Import) -> None:
    import_export([make_record(1, label="Actias selene")])
    said = Identification.objects.get()
    assert (str(said.taxon), str(said.user), said.is_independent) == (
        "Actias selene",
        "Import",
        True,
    )
    assert str(Occurrence.objects.get().determination) == "Actias selene"
    user = User.objects.get(name="Import")
    assert not user.is_active
    assert not user.has_usable_password()
    assert "nothing was changed" in import_export([make_record(1, label="Actias selene")])


def test_what_a_person_said_here_wins(import_export: Import) -> None:
    import_export([make_record(1)])
    occurrence = Occurrence.objects.get()
    Identification.objects.create(occurrence=occurrence, taxon=occurrence.determination)
    import_export([make_record(1, label="Actias selene")])
    assert Identification.objects.count() == 1


@pytest.mark.parametrize(
    ("boxes", "bbox", "stored"),
    [
        ("fractions", [0.25, 0.5, 0.5, 1], [1024, 1080, 2048, 2160]),
        ("xywh", [100, 200, 30, 40], [100, 200, 130, 240]),
        ("corners", [100, 200, 130, 240], [100, 200, 130, 240]),
    ],
)
def test_boxes_are_stored_as_corners(
    import_export: Import, boxes: str, bbox: list[float], stored: list[float]
) -> None:
    import_export([make_record(1, examples=[make_example(1, 0, bbox=bbox)])], boxes=boxes)
    assert Detection.objects.get().bbox == stored


def test_fractions_are_refused_with_the_remedy(import_export: Import) -> None:
    record = make_record(1, examples=[make_example(1, 0, bbox=[0.1, 0.2, 0.3, 0.4])])
    with pytest.raises(CommandError, match="--boxes fractions"):
        import_export([record])
    assert not Detection.objects.exists()


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("1970-01-01T00:00:00Z", "is before 1990."),
        ("2999-01-01T00:00:00Z", "is in the future."),
        ("2022-08-20T03:00:00Z", "is more than a day away from the night of 2022-06-20."),
    ],
)
def test_implausible_times_are_named(import_export: Import, time: str, told: str) -> None:
    text = import_export([make_record(1, examples=[make_example(1, 0, timestamp=time)])])
    assert f"of capture 'night/0.jpg' {told}" in text
    assert SourceImage.objects.count() == 1


def test_ids_may_be_whole_numbers(import_export: Import) -> None:
    import_export([make_record(1, id=42)])
    assert Occurrence.objects.count() == 1


FIRST = CASES / "02-corrected-export-ignored/r2_first.json"
SECOND = CASES / "02-corrected-export-ignored/r2_second.json"


@pytest.fixture(params=[third_party((FIRST, SECOND), FIRST, SECOND)])
def pair(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    found: tuple[Path, Path] = request.param
    return found


def test_a_corrected_export_is_not_ignored(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in pair:
        call_command("import_occurrences", str(path), "--project=P")
    assert "Different in the file" in capsys.readouterr().out
