"""Antenna's JSON export: a list of occurrences as its API shows them, with all detections."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ami.exchange.reading.antenna import algorithm_of, lasting, night_of
from ami.exchange.reading.json_row import JsonRow, json_rows
from ami.exchange.reading.records import (
    CaptureRecord,
    ClassificationRecord,
    DetectionRecord,
    IdentificationRecord,
    Item,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.registry import Reader, register
from ami.exchange.reading.start import Kind, Start
from ami.exchange.reading.validation import (
    check_box,
    check_flag,
    check_id,
    check_local_time,
    check_name,
    check_note,
    check_score,
    check_size,
)

KEYS = frozenset({"determination", "determination_details", "detection_images", "detections"})
# Of the older export, and of results of pipelines.
OTHERS = frozenset({"examples", "label", "source_images", "pipeline"})
EVENT_NAMES = ("date_label", "name")  # of which the first with a date counts


def recognises(start: Start) -> bool:
    keys = start.keys.get("", frozenset())
    return start.kind == Kind.LIST and bool(KEYS & keys) and not OTHERS & keys


def read(path: Path) -> Iterator[Item]:
    for row in json_rows(path, noun="occurrence"):
        occurrence = _Occurrence(row)
        yield from row.faults or occurrence.items()


class _Occurrence:
    """An occurrence of the file, and what is left out of it."""

    def __init__(self, row: JsonRow) -> None:
        self.left_out: list[Skipped] = []
        self.place = row.place
        self.key = row.need("id", check_id, "")
        self.label = _name(row, "determination")
        self.deployment = _name(row, "deployment")
        event = row.row("event")
        self.nights = [event.get(key, check_note, "") for key in EVENT_NAMES] if event else []
        self.identifications = [
            _identification(one, name) for one, name in self._named(row, "identification")
        ]
        if row.lacks("detections"):
            row.refuse("detections", "is missing; export occurrences with their detections.")
        found = [self._detection(one) for one in row.rows("detections")]
        self.detections = [one for one in found if one is not None]

    def items(self) -> Iterator[Item]:
        """Yield the occurrence, and before it what is left out."""
        yield from self.left_out
        if not self.detections:
            yield Skipped(self.place, f"occurrence {self.key}", "has no detection with a box")
            return
        yield OccurrenceRecord(
            place=self.place,
            key=self.key,
            label=self.label,
            detections=self.detections,
            identifications=self.identifications,
        )

    def _detection(self, row: JsonRow) -> DetectionRecord | None:
        if row.lacks("bbox"):
            name = f"detection {row.get('id', check_id, '')}"
            self.left_out.append(Skipped(row.place, name, "has no box"))
            return None
        at = row.get("timestamp", check_local_time, None)
        return DetectionRecord(
            place=row.place,
            capture=self._capture(row, at),
            bbox=row.get("bbox", check_box, []),
            crop=row.get("url", lasting, ""),
            timestamp=at,
            classifications=[
                _classification(one, name) for one, name in self._named(row, "classification")
            ],
        )

    def _capture(self, row: JsonRow, at: datetime | None) -> CaptureRecord:
        capture = row.row("capture") or JsonRow({}, row.at("capture"), row.faults)
        path = capture.get("url", lasting, "") or capture.get("path", lasting, "")
        if not path and row.is_object:
            capture.refuse("url", "is missing; a detection needs the address of its capture.")
        return CaptureRecord(
            deployment=self.deployment,
            path=path,
            timestamp=at,
            width=capture.get("width", check_size, None),
            height=capture.get("height", check_size, None),
            night=next(filter(None, (night_of(name, at) for name in self.nights)), None),
        )

    def _named(self, row: JsonRow, noun: str) -> Iterator[tuple[JsonRow, str]]:
        """Yield objects of a list with the names of their taxa; those without are left out."""
        for one in row.rows(f"{noun}s"):
            if name := _name(one, "taxon"):
                yield one, name
            else:
                name = f"{noun} {one.need('id', check_id, '')}"
                self.left_out.append(Skipped(one.place, name, "has no taxon"))


def _identification(row: JsonRow, label: str) -> IdentificationRecord:
    return IdentificationRecord(
        label=label,
        person=_person(row),
        comment=row.get("comment", check_note, ""),
        withdrawn=row.get("withdrawn", check_flag, default=False),
        timestamp=row.get("created_at", check_local_time, None),
        key=row.need("id", check_id, ""),
        agreed_with_prediction=_reference(row, "agreed_with_prediction"),
        agreed_with_identification=_reference(row, "agreed_with_identification"),
    )


def _classification(row: JsonRow, label: str) -> ClassificationRecord:
    algorithm = row.row("algorithm")
    return ClassificationRecord(
        label=label,
        score=row.get("score", check_score, None),
        algorithm=algorithm_of(algorithm) if algorithm else None,
        timestamp=row.get("created_at", check_local_time, None),
        terminal=row.get("terminal", check_flag, default=True),
        key=row.need("id", check_id, ""),
        applied_to=_reference(row, "applied_to"),
    )


def _name(row: JsonRow, key: str) -> str:
    """Return the name of a taxon or deployment, or "" if there is none."""
    named = row.row(key)
    return named.need("name", check_name, "") if named else ""


def _person(row: JsonRow) -> str:
    """Return the name of a person, or a substitute for one without a name, as exports have it."""
    user = row.row("user")
    if user is None:
        return ""
    return user.get("name", check_note, "") or f"Person {user.need('id', check_id, '')}"


def _reference(row: JsonRow, key: str) -> str:
    """Return the id of the row that `key` names by its id or as an object, or "" if none."""
    if isinstance(row.values.get(key), dict):
        other = row.row(key)
        return other.need("id", check_id, "") if other else ""
    return row.get(key, check_id, "") or row.get(f"{key}_id", check_id, "")


register(
    Reader(
        key="antenna_json",
        name="a JSON export of Antenna",
        description="A list of occurrences with all detections, classifications and names.",
        recognises=recognises,
        read=read,
    )
)
