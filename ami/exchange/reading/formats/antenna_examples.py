"""Antenna's older JSON export: a list of occurrences, each with examples of its detections."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from ami.exchange.base import shown
from ami.exchange.reading.json_row import JsonRow, json_rows
from ami.exchange.reading.records import (
    CaptureRecord,
    ClassificationRecord,
    DetectionRecord,
    Item,
    OccurrenceRecord,
)
from ami.exchange.reading.registry import Reader, register
from ami.exchange.reading.start import Kind, Start
from ami.exchange.reading.validation import (
    check_box,
    check_day,
    check_id,
    check_name,
    check_path,
    check_score,
    check_size,
    check_time,
)


def recognises(start: Start) -> bool:
    keys = start.keys.get("", frozenset())
    return start.kind == Kind.LIST and bool({"examples", "label"} & keys)


def read(path: Path) -> Iterator[Item]:
    for row in json_rows(path, noun="occurrence"):
        occurrence = _occurrence(row)
        if row.faults:
            yield from row.faults
        else:
            yield occurrence


def _occurrence(row: JsonRow) -> OccurrenceRecord:
    deployment = row.get("deployment", check_name, "")
    night = _night(row)
    examples = row.rows("examples")
    if not examples and row.is_object and row.values.get("examples") in (None, []):
        told = "is missing." if "examples" not in row.values else _no_list(row.values["examples"])
        row.refuse("examples", told)
    return OccurrenceRecord(
        place=row.place,
        key=row.need("id", check_id, ""),
        label=row.need("label", check_name, ""),
        detections=[_detection(one, deployment, night) for one in examples],
    )


def _no_list(value: Any) -> str:
    return f"must be a list of at least one detection, got {shown(value)}."


def _night(row: JsonRow) -> date | None:
    if row.lacks("event"):
        row.refuse("event", "is missing.")
    event = row.row("event")
    return event.need("day", check_day, None) if event else None


def _detection(row: JsonRow, deployment: str, night: date | None) -> DetectionRecord:
    at = row.need("timestamp", check_time, None)
    return DetectionRecord(
        place=row.place,
        capture=CaptureRecord(
            deployment=deployment,
            path=row.need("source_image_path", check_path, ""),
            timestamp=at,
            width=row.need("source_image_width", check_size, None),
            height=row.need("source_image_height", check_size, None),
            night=night,
        ),
        bbox=row.need("bbox", check_box, []),
        crop=row.get("cropped_image_path", _check_crop, ""),
        timestamp=at,
        classifications=[
            ClassificationRecord(
                row.need("label", check_name, ""),
                row.need("score", check_score, None),
                timestamp=at,
            )
        ],
    )


def _check_crop(value: Any) -> str:
    return check_path(value) if value else ""


register(
    Reader(
        key="antenna_examples",
        name="an older JSON export of Antenna",
        description="A list of occurrences, each with examples of its detections.",
        recognises=recognises,
        read=read,
    )
)
