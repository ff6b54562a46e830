"""The reader of Antenna's CSV."""

import csv
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from ami.exchange.base import ImportRefusedError
from ami.exchange.reading.records import AlgorithmRecord, Item
from ami.exchange.reading.registry import READERS, reader_of
from ami.exchange.tests.export_world import World, exported
from ami.exchange.tests.reading import SAMPLES, detections, faults, items, occurrences, skipped

KEY = "antenna_csv"
SAMPLE = SAMPLES / f"{KEY}.csv"

Rows = list[dict[str, str]]
Read = Callable[..., list[Item]]


@pytest.fixture
def rows() -> Rows:
    with SAMPLE.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(rows: Rows, *, encoding: str = "utf-8", **form: Any) -> list[Item]:
        path = tmp_path / "occurrences.csv"
        with path.open("w", newline="", encoding=encoding) as file:
            writer = csv.DictWriter(file, list(rows[0]), **form)
            writer.writeheader()
            writer.writerows(rows)
        return list(READERS[KEY].read(path))

    return run


def changed(rows: Rows, number: int = 0, /, **cells: str) -> Rows:
    rows[number] |= cells
    return rows


def test_it_reads_the_best_detection_of_each_occurrence() -> None:
    first, second, _ = occurrences(items(SAMPLE, KEY))

    assert (first.place, first.key, first.label) == ("line 2", "21", "Noctua comes")
    [detection] = first.detections
    assert detection.bbox == [100.5, 200, 300, 420.25]
    assert detection.crop == "https://media.example.org/crops/41.jpg"
    assert detection.capture.path == "https://media.example.org/trap/31.jpg"
    assert detection.capture.deployment == "Trap 1"
    assert detection.capture.night == second.detections[0].capture.night == date(2022, 6, 20)


def test_the_time_of_a_capture_is_known_if_all_detections_have_it() -> None:
    first, second, _ = detections(items(SAMPLE, KEY))

    assert first.timestamp is first.capture.timestamp is None
    assert second.timestamp == second.capture.timestamp == datetime(2022, 6, 21, 3)


def test_the_time_of_a_capture_may_be_in_its_file_name(rows: Rows, read: Read) -> None:
    found = read(changed(rows, best_detection_capture_url="trap/20220620235900-1.jpg"))

    assert detections(found)[0].capture.timestamp == datetime(2022, 6, 20, 23, 59)


def test_it_reads_the_best_prediction() -> None:
    [prediction] = detections(items(SAMPLE, KEY))[1].classifications

    assert (prediction.label, prediction.score) == ("Noctua pronuba", 0.75)
    assert prediction.algorithm == AlgorithmRecord("Moth net")


def test_a_row_without_a_best_detection_is_left_out() -> None:
    assert skipped(items(SAMPLE, KEY)) == [
        ("line 5", "occurrence 24", "has no best detection with a box")
    ]


def test_a_row_without_the_address_of_its_capture_is_left_out(rows: Rows, read: Read) -> None:
    found = read(changed(rows, best_detection_capture_url=""))

    assert ("line 2", "occurrence 21", "has no best detection with a capture") in skipped(found)


def test_a_verified_row_is_an_identification_that_agrees_with_a_person() -> None:
    former, counting = occurrences(items(SAMPLE, KEY))[0].identifications

    assert (former.label, former.person) == ("Noctua comes", "grace@example.org")
    assert (counting.label, counting.person) == ("Noctua comes", "Ada Lovelace")
    assert counting.agreed_with_identification == former.key
    assert not counting.agreed_with_prediction


def test_a_verified_row_is_an_identification_that_agrees_with_an_algorithm() -> None:
    _, second, third = occurrences(items(SAMPLE, KEY))

    [identification] = third.identifications
    [prediction] = third.detections[0].classifications
    assert identification.agreed_with_prediction == prediction.key
    assert not identification.agreed_with_identification
    assert second.identifications == []


def test_protected_cells_are_read_as_they_were() -> None:
    algorithm = detections(items(SAMPLE, KEY))[2].classifications[0].algorithm

    assert algorithm == AlgorithmRecord("=Net")


def test_a_determination_that_nobody_gave_is_a_classification(rows: Rows, read: Read) -> None:
    found = read(changed(rows, 1, determination_name="Noctua", determination_score="0.9"))

    _, determination = detections(found)[1].classifications
    assert (determination.label, determination.score) == ("Noctua", 0.9)
    assert determination.algorithm is None


def test_a_verified_row_without_a_taxon_has_no_identification(rows: Rows, read: Read) -> None:
    found = read(changed(rows, determination_name=""))

    assert ("line 2", "identification of occurrence 21", "has no taxon") in skipped(found)
    assert occurrences(found)[0].identifications == []


@pytest.mark.parametrize(
    ("status", "number"),
    [("True", 1), ("VERIFIED", 1), ("verified", 1), ("False", 0), ("", 0), ("Not Verified", 0)],
)
def test_the_status_is_read_as_antenna_wrote_it(
    rows: Rows, read: Read, status: str, number: int
) -> None:
    found = read(changed(rows, 2, verification_status=status))

    assert len(occurrences(found)[2].identifications) == number


@pytest.mark.parametrize(
    "form",
    [{"delimiter": ";"}, {"delimiter": "\t"}, {"encoding": "utf-16"}, {"encoding": "utf-8-sig"}],
)
def test_it_reads_what_spreadsheets_write(rows: Rows, read: Read, form: dict[str, str]) -> None:
    rows = changed(rows, id="21.0", best_machine_prediction_score="0,875")
    rows = changed(rows, 1, first_appearance_timestamp="2022-06-21 03:00:00")

    first, second, _ = occurrences(read(rows, **form))

    assert first.key == "21"
    assert first.detections[0].classifications[0].score == 0.875
    assert second.detections[0].timestamp == datetime(2022, 6, 21, 3)


@pytest.mark.parametrize(
    ("column", "cell", "sentence"),
    [
        ("id", "", "is missing."),
        ("best_detection_bbox", "[1, 2, 3]", "must be four finite numbers [x1, y1, x2, y2], got"),
        ("best_detection_bbox", "[1, 2, 3, nan]", "must be four finite numbers [x1, y1, x2, y2]"),
        ("best_detection_bbox", "{}", "must be four finite numbers [x1, y1, x2, y2], got"),
        ("best_detection_capture_url", "x" * 1025, "must be at most 1024 characters long, got"),
        ("best_detection_url", "x" * 1025, "must be at most 1024 characters long, got"),
        ("deployment_name", "x" * 256, "must be at most 255 characters long, got"),
        ("determination_name", "x" * 256, "must be at most 255 characters long, got"),
        ("verification_status", "perhaps", 'must be Verified or Not verified, got "perhaps".'),
        ("verified_by", "x" * 256, "must be at most 255 characters long, got"),
        ("best_machine_prediction_score", "7", 'must be a number from 0 to 1, got "7".'),
        ("best_machine_prediction_score", "high", 'must be a number from 0 to 1, got "high".'),
        ("first_appearance_timestamp", "20/06/2022 23:58", "must be a time, such as"),
        (
            "last_appearance_timestamp",
            "soon",
            'must be a time, such as 2022-06-21T23:23:00, got "s',
        ),
    ],
)
def test_bad_input_is_a_fault_with_its_line_and_column(
    rows: Rows, read: Read, column: str, cell: str, sentence: str
) -> None:
    found = read(changed(rows, **{column: cell}))

    assert faults(found)[0].startswith(f"line 2, column {column}: {sentence}")
    assert [one.key for one in occurrences(found)] == ["22", "23"]


def test_a_file_of_an_older_antenna_is_refused(rows: Rows, read: Read) -> None:
    for row in rows:
        del row["best_detection_bbox"], row["best_detection_capture_url"]

    with pytest.raises(
        ImportRefusedError,
        match=r"has no column best_detection_bbox, best_detection_capture_url\. Export the",
    ):
        read(rows)


def test_a_file_without_occurrences_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text(SAMPLE.read_text().splitlines()[0] + "\n\n")

    with pytest.raises(ImportRefusedError, match="must contain at least one occurrence, got none"):
        list(reader_of(path).read(path))


def test_a_file_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv"
    path.write_text(SAMPLE.read_text() + "1,2\n")
    found = reader_of(path).read(path)

    assert [next(found).place for _ in range(4)] == ["line 2", "line 3", "line 4", "line 5"]
    with pytest.raises(ImportRefusedError, match="line 6: has 2 cells, but the header has 28"):
        next(found)


@pytest.mark.django_db
def test_it_reads_what_the_export_wrote(tmp_path: Path) -> None:
    world = World(human="=1+1", person="@Ada", deployment="'+Trap", capture="a;b,c")
    exported(KEY, world.scope, tmp_path)

    first, second = occurrences(items(tmp_path / "export.csv", KEY))

    assert (first.key, second.key) == (str(world.first.pk), str(world.second.pk))
    assert (first.label, second.label) == ("=1+1", world.machine.name)
    assert first.detections[0].capture.deployment == "'+Trap"
    assert second.detections[0].capture.path == "night/a;b,c.jpg"
    assert second.detections[0].capture.night == date(2022, 6, 20)
    assert second.detections[0].classifications[0].score == 0.6
    former, counting = first.identifications
    assert former.person == f"Person {world.people[1].pk}"
    assert counting.person == "@Ada"
    assert second.identifications == []
