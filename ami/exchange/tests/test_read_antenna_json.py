"""The reader of Antenna's JSON export."""

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from ami.base.tests.shared import CASES, third_party_files
from ami.exchange.base import ImportRefusedError
from ami.exchange.reading.records import AlgorithmRecord, IdentificationRecord, Item
from ami.exchange.reading.registry import READERS, reader_of
from ami.exchange.tests.reading import (
    SAMPLES,
    detections,
    faults,
    items,
    occurrences,
    skipped,
    with_change,
)
from ami.main.models import Classification, Identification

SAMPLE = SAMPLES / "antenna_json.json"
DETECTION = (0, "detections", 0)
CLASSIFICATION = (*DETECTION, "classifications", 1)
ADA = (0, "identifications", 1)

Read = Callable[[Any], list[Item]]


@pytest.fixture
def document() -> Any:
    return json.loads(SAMPLE.read_text())


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(document: Any) -> list[Item]:
        path = tmp_path / "export.json"
        path.write_text(json.dumps(document))
        return list(READERS["antenna_json"].read(path))

    return run


def test_it_reads_occurrences_with_their_deployment_and_night() -> None:
    first, second = occurrences(items(SAMPLE, "antenna_json"))

    assert (first.place, first.key, first.label) == ("[0]", "21", "Noctua comes")
    capture = first.detections[0].capture
    assert capture.deployment == "Trap 1"
    assert capture.night == date(2022, 6, 20)
    assert (second.key, second.label) == ("22", "")
    assert second.detections[0].capture.deployment == ""
    assert second.detections[0].capture.night is None


def test_it_reads_all_detections_with_their_captures() -> None:
    one, other, _ = detections(items(SAMPLE, "antenna_json"))

    assert (one.place, other.place) == ("[0].detections[0]", "[0].detections[1]")
    assert one.capture.path == "https://media.example.org/trap/31.jpg"
    assert (one.capture.width, one.capture.height) == (4096, 2160)
    assert one.crop == "https://media.example.org/crops/41.jpg"
    assert one.bbox == [100.5, 200, 300, 420.25]
    assert not one.fractions


def test_times_without_a_zone_are_those_of_the_deployment() -> None:
    one = detections(items(SAMPLE, "antenna_json"))[0]

    assert one.timestamp == one.capture.timestamp == datetime(2022, 6, 20, 23, 58)


def test_it_reads_all_classifications_of_a_detection() -> None:
    first, second = detections(items(SAMPLE, "antenna_json"))[0].classifications

    assert first.label == second.label == "Noctua pronuba"
    assert first.algorithm == AlgorithmRecord("Moth net", 3, "classification")
    assert second.algorithm == AlgorithmRecord("Class masking", 1, "post_processing")
    assert (first.score, first.terminal, first.key, first.applied_to) == (0.75, False, "51", "")
    assert (second.score, second.terminal, second.key, second.applied_to) == (
        0.875,
        True,
        "52",
        "51",
    )
    assert first.timestamp == datetime(2022, 6, 22, 10)


def test_it_reads_who_named_what_and_whose_name_was_confirmed() -> None:
    nameless, ada = occurrences(items(SAMPLE, "antenna_json"))[0].identifications

    assert nameless == IdentificationRecord(
        label="Noctua pronuba",
        person="Person 8",
        withdrawn=True,
        timestamp=datetime(2022, 7, 1, 8),
        key="61",
        agreed_with_prediction="52",
    )
    assert (ada.label, ada.person, ada.withdrawn) == ("Noctua comes", "Ada Lovelace", False)
    assert ada.comment == "The hind wing is visible in the second capture."


@pytest.mark.parametrize("value", [61, "61", {"id": 61, "withdrawn": True}])
@pytest.mark.parametrize("key", ["agreed_with_identification", "agreed_with_prediction"])
def test_a_reference_is_an_id_or_an_object(document: Any, read: Read, key: str, value: Any) -> None:
    found = occurrences(read(with_change(document, (*ADA, key), value)))

    assert getattr(found[0].identifications[1], key) == "61"


def test_a_detection_without_a_box_is_left_out(document: Any, read: Read) -> None:
    found = read(with_change(document, (*DETECTION, "bbox"), None))

    assert skipped(found) == [("[0].detections[0]", "detection 41", "has no box")]
    assert len(detections(found)) == 2


def test_an_occurrence_without_a_detection_is_left_out(document: Any, read: Read) -> None:
    found = read(with_change(document, (0, "detections"), []))

    assert skipped(found) == [("[0]", "occurrence 21", "has no detection with a box")]
    assert [one.key for one in occurrences(found)] == ["22"]


@pytest.mark.parametrize(
    ("path", "name"),
    [(CLASSIFICATION, "classification 52"), (ADA, "identification 62")],
)
def test_a_row_without_a_taxon_is_left_out(
    document: Any, read: Read, path: tuple[Any, ...], name: str
) -> None:
    found = read(with_change(document, (*path, "taxon"), None))

    [(place, left_out, reason)] = skipped(found)
    assert (left_out, reason) == (name, "has no taxon")
    assert place.startswith("[0].")
    assert len(occurrences(found)) == 2


@pytest.mark.parametrize(
    "path",
    [
        (0, "event"),
        (0, "deployment"),
        (0, "determination"),
        (0, "identifications"),
        (*DETECTION, "timestamp"),
        (*DETECTION, "url"),
        (*DETECTION, "classifications"),
        (*DETECTION, "capture", "width"),
        (*CLASSIFICATION, "score"),
        (*CLASSIFICATION, "algorithm"),
        (*CLASSIFICATION, "applied_to"),
        (*CLASSIFICATION, "terminal"),
        (*CLASSIFICATION, "algorithm", "version"),
        (*ADA, "user"),
        (*ADA, "comment"),
        (*ADA, "withdrawn"),
    ],
)
@pytest.mark.parametrize("value", [None, ...])
def test_what_is_not_told_may_be_null_or_missing(
    document: Any, read: Read, path: tuple[Any, ...], value: Any
) -> None:
    found = read(with_change(document, path, value))

    assert faults(found) == []
    assert skipped(found) == []
    assert len(detections(found)) == 3


FAULTS: list[tuple[tuple[Any, ...], Any, str]] = [
    ((0,), 5, "[0]: must be an object, got 5."),
    ((0,), {}, "[0].id: is missing."),
    ((0, "id"), None, "[0].id: is missing."),
    ((0, "id"), 1.5, "[0].id: must be a non-empty text, got 1.5."),
    ((0, "event"), "Jun 20", '[0].event: must be an object, got "Jun 20".'),
    ((0, "event", "name"), 7, "[0].event.name: must be a non-empty text, got 7."),
    ((0, "deployment", "name"), "", '[0].deployment.name: must be a non-empty text, got "".'),
    ((0, "determination"), {"id": 5}, "[0].determination.name: is missing."),
    ((0, "detections"), ..., "[0].detections: is missing; export occurrences with their"),
    ((0, "detections"), {}, "[0].detections: must be a list, got {}."),
    (DETECTION, [], "[0].detections[0]: must be an object, got []."),
    ((*DETECTION, "bbox"), [1, 2, 3], "[0].detections[0].bbox: must be four finite numbers"),
    ((*DETECTION, "bbox"), [1, 2, 3, "4"], "[0].detections[0].bbox: must be four finite numbers"),
    ((*DETECTION, "timestamp"), "soon", "[0].detections[0].timestamp: must be a time, such as"),
    ((*DETECTION, "url"), 5, "[0].detections[0].url: must be a non-empty text, got 5."),
    ((*DETECTION, "capture"), None, "[0].detections[0].capture.url: is missing; a detection needs"),
    (
        (*DETECTION, "capture", "url"),
        None,
        "[0].detections[0].capture.url: is missing; a detection",
    ),
    (
        (*DETECTION, "capture", "url"),
        "a\0b",
        "[0].detections[0].capture.url: must be a text without",
    ),
    (
        (*DETECTION, "capture", "width"),
        -1,
        "[0].detections[0].capture.width: must be a whole number",
    ),
    (
        (*DETECTION, "classifications"),
        3,
        "[0].detections[0].classifications: must be a list, got 3.",
    ),
    ((*CLASSIFICATION, "id"), ..., "[0].detections[0].classifications[1].id: is missing."),
    (
        (*CLASSIFICATION, "score"),
        1.5,
        "classifications[1].score: must be a number from 0 to 1, got",
    ),
    (
        (*CLASSIFICATION, "terminal"),
        1,
        "classifications[1].terminal: must be true or false, got 1.",
    ),
    ((*CLASSIFICATION, "taxon", "name"), "x" * 256, "taxon.name: must be at most 255 characters"),
    (
        (*CLASSIFICATION, "algorithm", "name"),
        None,
        "classifications[1].algorithm.name: is missing.",
    ),
    (
        (*CLASSIFICATION, "algorithm", "version"),
        "2",
        "algorithm.version: must be a whole number of",
    ),
    ((*CLASSIFICATION, "applied_to"), {}, "classifications[1].applied_to.id: is missing."),
    (
        (*ADA, "withdrawn"),
        "no",
        '[0].identifications[1].withdrawn: must be true or false, got "no"',
    ),
    ((*ADA, "user", "name"), [], "[0].identifications[1].user.name: must be a non-empty text"),
    ((*ADA, "comment"), "a\0b", "[0].identifications[1].comment: must be a text without NUL"),
    ((*ADA, "created_at"), 5, "[0].identifications[1].created_at: must be a time, such as"),
]


@pytest.mark.parametrize(("path", "value", "fault"), FAULTS)
def test_bad_input_is_a_fault_with_its_place(
    document: Any, read: Read, path: tuple[Any, ...], value: Any, fault: str
) -> None:
    found = read(with_change(document, path, value))

    assert fault in faults(found)[0]
    assert [one.key for one in occurrences(found)] == ["22"]


def test_all_faults_of_an_occurrence_are_told(document: Any, read: Read) -> None:
    document = with_change(document, (*DETECTION, "bbox"), [])
    document = with_change(document, (*ADA, "withdrawn"), 2)

    assert len(faults(read(document))) == 2


@pytest.mark.parametrize("content", ["[]", "[5]", '[{"id": 1}]', '{"determination": {}}'])
def test_what_is_no_export_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(content)

    with pytest.raises(ImportRefusedError, match="in none of the formats that can be imported"):
        reader_of(path)


def test_a_file_is_read_one_occurrence_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(SAMPLE.read_text().rstrip().removesuffix("]") + ", [")
    found = reader_of(path).read(path)

    assert next(found).place == "[0]"
    assert next(found).place == "[1]"
    with pytest.raises(ImportRefusedError, match="is not JSON"):
        next(found)


def test_the_older_export_is_told_apart() -> None:
    assert reader_of(SAMPLES / "antenna_examples.json").key == "antenna_examples"


export_of_today = third_party_files(CASES / "17-export-of-today/o33_api_export.json")


def test_an_export_of_today_is_read(export_of_today: Path) -> None:
    [one] = occurrences(items(export_of_today, "antenna_json"))

    assert (one.key, one.label) == ("11", "Zzmoth prima")
    assert one.detections[0].capture.path == "n/a.jpg"
    assert one.detections[0].capture.night == date(2022, 6, 20)


@pytest.mark.django_db
def test_lineages_and_agreement_are_imported() -> None:
    call_command("import_occurrences", str(SAMPLE), "--project=Vermont", "--deployment=Trap 1")

    first, second = Classification.objects.filter(detection__bbox__0=100.5).order_by("pk")
    assert (second.applied_to, second.terminal, first.terminal) == (first, True, False)
    agreeing, ada = Identification.objects.order_by("pk")
    assert (agreeing.agreed_with_prediction, agreeing.withdrawn) == (second, True)
    assert ada.occurrence.determination == ada.taxon
    assert ada.taxon is not None
    assert ada.taxon.name == "Noctua comes"
