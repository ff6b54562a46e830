"""The results of MegaDetector and of tools that write its format: images with detections."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ami.exchange.base import ImportRefusedError, shown
from ami.exchange.reading import subjects
from ami.exchange.reading.json_row import JsonRow, json_rows
from ami.exchange.reading.json_stream import json_value
from ami.exchange.reading.records import (
    AlgorithmRecord,
    CaptureRecord,
    ClassificationRecord,
    DetectionRecord,
    EmptyCapture,
    Fault,
    Item,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.registry import Reader, register
from ami.exchange.reading.start import Kind, Start
from ami.exchange.reading.validation import (
    check_camera_time,
    check_file_name,
    check_id,
    check_name,
    check_score,
    check_share_box,
    check_size,
    optional,
)

# What old files mean that do not name their categories.
CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
# What files say, ours among them, that do not name their algorithms.
UNNAMED = frozenset({"", "unknown", "see the database", "see classification_categories"})
Classes = list[tuple[str, float]]


def _check_classes(value: Any) -> Classes:
    try:
        return [(check_id(label), check_score(score)) for label, score in value or []]
    except (TypeError, ValueError):
        raise ValueError('must be a list such as [["12", 0.87], ["7", 0.05]]') from None


class _Names(NamedTuple):
    """What the file says about all of its detections: categories by id, and algorithms."""

    categories: Mapping[str, str]
    classes: Mapping[str, str]
    detector: AlgorithmRecord | None
    classifier: AlgorithmRecord | None


def recognises(start: Start) -> bool:
    return start.kind == Kind.OBJECT and (
        "detection_categories" in start.keys or "file" in start.keys.get("images", ())
    )


def read(path: Path) -> Iterator[Item]:
    names = _names(path)
    for row in json_rows(path, "images", noun="image"):
        yield from _seen(row, names)


def _names(path: Path) -> _Names:
    info = _object(path, "info")
    return _Names(
        categories=_labels(_object(path, "detection_categories")) or CATEGORIES,
        classes=_labels(_object(path, "classification_categories")),
        detector=_algorithm(info.get("detector"), "detection"),
        classifier=_algorithm(info.get("classifier"), "classification"),
    )


def _labels(names: dict[str, Any]) -> dict[str, str]:
    found = {}
    for key, name in names.items():
        with suppress(ValueError):  # told where it is used
            found[key] = check_name(name)
    return found


def _object(path: Path, key: str) -> dict[str, Any]:
    value = json_value(path, key) or {}
    if not isinstance(value, dict):
        raise ImportRefusedError(f"{path}: {key} must be an object, got {shown(value)}.")
    return value


def _algorithm(name: Any, task_type: str) -> AlgorithmRecord | None:
    if not name or (isinstance(name, str) and name.strip().lower() in UNNAMED):
        return None
    try:
        return AlgorithmRecord(check_name(name), task_type=task_type)
    except ValueError as error:
        raise ImportRefusedError(
            f"info: the name of an algorithm {error}, got {shown(name)}."
        ) from None


def _seen(row: JsonRow, names: _Names) -> Iterator[Item]:
    path = row.need("file", check_file_name, "")
    at = row.get("datetime", optional(check_camera_time), None)
    width, height = (row.get(key, optional(check_size), None) for key in ("width", "height"))
    detections = row.values.get("detections")
    if detections is not None and not isinstance(detections, list):
        row.refuse("detections", f"must be a list, got {shown(detections)}.")
    if row.faults:
        yield from row.faults
        return
    capture = CaptureRecord(deployment="", path=path, timestamp=at, width=width, height=height)
    if failure := row.values.get("failure"):
        yield Skipped(row.place, path, f"was not processed: {shown(failure)}")
    elif row.values.get("frame_rate") is not None:
        yield Skipped(row.place, path, subjects.NO_PICTURE)
    elif detections is None:
        sentence = "must be a list, which is empty without detections."
        yield Fault(row.at("detections"), sentence)
    elif not detections:
        yield EmptyCapture(row.place, capture)
    else:
        for index, value in enumerate(detections):
            one = JsonRow(value, f"{row.at('detections')}[{index}]", [])
            yield from _detected(one, capture, names)


def _detected(row: JsonRow, capture: CaptureRecord, names: _Names) -> Iterator[Item]:
    pk, conf = row.need("category", check_id, ""), row.need("conf", check_score, 0.0)
    box: list[float] = row.need("bbox", check_share_box, [])
    classes: Classes = row.get("classifications", _check_classes, [])
    if row.faults:
        yield from row.faults
        return
    category = names.categories.get(pk)
    best = max(classes, key=lambda one: one[1], default=None)
    if category is None:
        yield Skipped(row.place, pk, "is not one of the file's detection_categories")
    elif category.lower() in subjects.NOT_ANIMALS | subjects.EMPTY:
        yield Skipped(row.place, category, subjects.NO_ANIMAL)
    elif best and best[0] not in names.classes:
        yield Fault(
            row.at("classifications"),
            f"must name one of the file's classification_categories, got {shown(best[0])}.",
        )
    else:
        record = DetectionRecord(
            place=row.place,
            capture=capture,
            bbox=box,
            fractions=True,
            score=conf,
            algorithm=names.detector,
            classifications=list(_classified(category, conf, best, names)),
        )
        yield OccurrenceRecord(place=row.place, detections=[record])


def _classified(
    category: str, conf: float, best: tuple[str, float] | None, names: _Names
) -> Iterator[ClassificationRecord]:
    """The best class; without one, the name that the detector gave, unless it is "animal"."""
    if best:
        yield ClassificationRecord(names.classes[best[0]], best[1], names.classifier)
    elif category.lower() != subjects.ANIMAL:
        yield ClassificationRecord(category, conf, names.detector)


register(
    Reader(
        key="megadetector",
        name="results of MegaDetector",
        description="Images with boxes and classes, as MegaDetector and SpeciesNet write them.",
        recognises=recognises,
        read=read,
    )
)
