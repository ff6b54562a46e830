"""Antenna's CSV: one row per occurrence, with its best detection."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ami.base.spreadsheets import unprotected
from ami.exchange.base import ImportRefusedError
from ami.exchange.reading.antenna import lasting, night_of, time_in_name
from ami.exchange.reading.json_row import JsonRow
from ami.exchange.reading.records import (
    AlgorithmRecord,
    CaptureRecord,
    ClassificationRecord,
    DetectionRecord,
    Fault,
    IdentificationRecord,
    Item,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.registry import Reader, register
from ami.exchange.reading.start import Kind, Start
from ami.exchange.reading.validation import (
    check_box,
    check_local_time,
    check_name,
    check_note,
    check_score,
)
from ami.exchange.tables import open_table

COLUMNS = frozenset({"determination_name", "verification_status", "best_detection_url"})
NEEDED = ("id", "deployment_name", "best_detection_bbox", "best_detection_capture_url")
ANSWERS = {"verified": True, "true": True, "not verified": False, "false": False}


def recognises(start: Start) -> bool:
    return start.kind == Kind.TABLE and start.columns >= COLUMNS


def read(path: Path) -> Iterator[Item]:
    with open_table(path) as table:
        header = table.header()
        missing = [one for one in NEEDED if one not in map(str.lower, header.values)]
        if missing:
            raise ImportRefusedError(
                f"{path} has no column {', '.join(missing)}. Export the occurrences again with "
                "the present version of Antenna, or as JSON."
            )
        place = ""
        for place, cells in table.by_column(header):
            faults: list[Fault] = []
            found = list(_items(_Row(cells, place, faults)))
            yield from faults or found
        if not place:
            raise ImportRefusedError(f"{path} must contain at least one occurrence, got none.")


class _Row(JsonRow):
    """A row of the file. A blank cell means that its value is not known."""

    __slots__ = ()

    def __init__(self, cells: Mapping[str, str], place: str, faults: list[Fault]) -> None:
        texts = {name: unprotected(cell) or None for name, cell in cells.items()}
        super().__init__(texts, place, faults)

    def at(self, key: str) -> str:
        return f"{self.place}, column {key}"


def _items(row: _Row) -> Iterator[Item]:
    """Yield an occurrence, or why it is left out."""
    key = row.need("id", _check_id, "")
    box: list[float] = row.get("best_detection_bbox", _check_box, [])
    capture = _capture(row)
    if not box or not capture.path:
        lack = "box" if not box else "capture"
        yield Skipped(row.place, f"occurrence {key}", f"has no best detection with a {lack}")
        return
    label = row.get("determination_name", check_name, "")
    is_verified = row.get("verification_status", _check_answer, default=False)
    if is_verified and not label:
        yield Skipped(row.place, f"identification of occurrence {key}", "has no taxon")
    detection = DetectionRecord(
        place=row.place,
        capture=capture,
        bbox=box,
        crop=row.get("best_detection_url", lasting, ""),
        timestamp=capture.timestamp,
        classifications=list(_classifications(row, key, "" if is_verified else label)),
    )
    yield OccurrenceRecord(
        place=row.place,
        key=key,
        label=label,
        detections=[detection],
        identifications=list(_identifications(row, key, label)) if is_verified and label else [],
    )


def _capture(row: _Row) -> CaptureRecord:
    """Return the capture of the best detection.

    If the occurrence was seen at several times, only its file name may tell its time.
    """
    first = row.get("first_appearance_timestamp", check_local_time, None)
    last = row.get("last_appearance_timestamp", check_local_time, None)
    path = row.get("best_detection_capture_url", lasting, "")
    return CaptureRecord(
        deployment=row.get("deployment_name", check_name, ""),
        path=path,
        timestamp=first if first == last else time_in_name(path),
        night=night_of(row.get("event_name", check_note, ""), first),
    )


def _classifications(row: _Row, key: str, label: str) -> Iterator[ClassificationRecord]:
    """Yield the best prediction, and the determination if this is another name of a machine."""
    predicted = row.get("best_machine_prediction_name", check_name, "")
    algorithm = row.get("best_machine_prediction_algorithm", check_name, "")
    if predicted:
        yield ClassificationRecord(
            label=predicted,
            score=row.get("best_machine_prediction_score", _check_score, None),
            algorithm=AlgorithmRecord(algorithm) if algorithm else None,
            key=key,
        )
    if label and label != predicted:
        yield ClassificationRecord(label, row.get("determination_score", _check_score, None))


def _identifications(row: _Row, key: str, label: str) -> Iterator[IdentificationRecord]:
    """Yield the identification that counts, after the one with which it agrees."""
    former = row.get("agreed_with_user", check_name, "")
    if former:
        yield IdentificationRecord(label, former, key=f"{key} before")
    is_agreed = row.get("agreed_with_algorithm", check_name, "")
    is_agreed = is_agreed and row.get("best_machine_prediction_name", check_name, "")
    yield IdentificationRecord(
        label,
        row.get("verified_by", check_name, ""),
        key=key,
        agreed_with_prediction=key if is_agreed else "",
        agreed_with_identification=f"{key} before" if former else "",
    )


def _check_id(value: str) -> str:
    """Return an id, from which a spreadsheet may have made a number with decimals."""
    return check_name(value).removesuffix(".0")


def _check_answer(value: str) -> bool:
    answer = ANSWERS.get(value.lower())
    if answer is None:
        raise ValueError("must be Verified or Not verified")
    return answer


def _check_box(value: str) -> list[float]:
    with suppress(ValueError):
        return check_box([float(number) for number in value.strip("[]()").split(",")])
    raise ValueError("must be four finite numbers [x1, y1, x2, y2]")


def _check_score(value: str) -> float:
    """Return a score, which a spreadsheet may have written with a decimal comma."""
    with suppress(ValueError):
        return check_score(float(value.replace(",", ".")))
    raise ValueError("must be a number from 0 to 1")


register(
    Reader(
        key="antenna_csv",
        name="a CSV export of Antenna",
        description="One row per occurrence, with its best detection and who identified it.",
        recognises=recognises,
        read=read,
    )
)
