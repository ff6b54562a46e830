"""The results of MegaDetector and of tools that write its format: images with detections."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime as time
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, validator

from ami.exchange.base import ImportRefusedError, shown
from ami.exchange.reading import subjects, validation
from ami.exchange.reading.json_stream import json_items, json_value
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
from ami.exchange.reading.registry import READERS, Reader
from ami.exchange.reading.start import Kind, Start

# What old files mean that do not name their categories.
CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
# What files say, ours among them, that do not name their algorithms.
UNNAMED = frozenset({"", "unknown", "see the database", "see classification_categories"})
Classes = list[tuple[str, float]]


def _check_classes(value: Any) -> Classes:
    try:
        return [
            (validation.check_id(label), validation.check_score(score))
            for label, score in value or []
        ]
    except (TypeError, ValueError):
        raise ValueError('must be a list such as [["12", 0.87], ["7", 0.05]]') from None


class _Detection(BaseModel):
    category: str
    conf: float
    bbox: list[float]
    classifications: list[tuple[str, float]] = []

    _category = validator("category", pre=True, allow_reuse=True)(validation.check_id)
    _conf = validator("conf", pre=True, allow_reuse=True)(validation.check_score)
    _box = validator("bbox", pre=True, allow_reuse=True)(validation.check_share_box)
    _classes = validator("classifications", pre=True, allow_reuse=True)(_check_classes)


class _Image(BaseModel):
    file: str
    failure: Any = None
    frame_rate: Any = None
    datetime: time | None = None
    width: int | None = None
    height: int | None = None
    detections: list[Any] | None = None

    _file = validator("file", pre=True, allow_reuse=True)(validation.check_file_name)
    _time = validator("datetime", pre=True, allow_reuse=True)(
        validation.optional(validation.check_camera_time)
    )
    _size = validator("width", "height", pre=True, allow_reuse=True)(
        validation.optional(validation.check_size)
    )


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
    number = -1
    for number, value in enumerate(json_items(path, "images.item")):
        place = f"images[{number}]"
        image = validation.parsed(_Image, value, place)
        if isinstance(image, list):
            yield from image
        else:
            yield from _seen(image, names, place)
    if number < 0:
        raise ImportRefusedError(f"{path} must contain a list of at least one image as images.")


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
            found[key] = validation.check_name(name)
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
        return AlgorithmRecord(validation.check_name(name), task_type=task_type)
    except ValueError as error:
        raise ImportRefusedError(
            f"info: the name of an algorithm {error}, got {shown(name)}."
        ) from None


def _seen(image: _Image, names: _Names, place: str) -> Iterator[Item]:
    capture = CaptureRecord(
        deployment="",
        path=image.file,
        timestamp=image.datetime,
        width=image.width,
        height=image.height,
    )
    if image.failure:
        yield Skipped(place, image.file, f"was not processed: {shown(image.failure)}")
    elif image.frame_rate is not None:
        yield Skipped(place, image.file, subjects.NO_PICTURE)
    elif image.detections is None:
        yield Fault(f"{place}.detections", "must be a list, which is empty without detections.")
    elif not image.detections:
        yield EmptyCapture(place, capture)
    else:
        for index, value in enumerate(image.detections):
            yield from _detected(value, capture, names, f"{place}.detections[{index}]")


def _detected(value: Any, capture: CaptureRecord, names: _Names, place: str) -> Iterator[Item]:
    detection = validation.parsed(_Detection, value, place)
    if isinstance(detection, list):
        yield from detection
        return
    category = names.categories.get(detection.category)
    best = max(detection.classifications, key=lambda one: one[1], default=None)
    if category is None:
        yield Skipped(place, detection.category, "is not one of the file's detection_categories")
    elif category.lower() in subjects.NOT_ANIMALS | subjects.EMPTY:
        yield Skipped(place, category, subjects.NO_ANIMAL)
    elif best and best[0] not in names.classes:
        yield Fault(
            f"{place}.classifications",
            f"must name one of the file's classification_categories, got {shown(best[0])}.",
        )
    else:
        record = DetectionRecord(
            place=place,
            capture=capture,
            bbox=detection.bbox,
            fractions=True,
            score=detection.conf,
            algorithm=names.detector,
            classifications=list(_classified(category, detection.conf, best, names)),
        )
        yield OccurrenceRecord(place=place, detections=[record])


def _classified(
    category: str, conf: float, best: tuple[str, float] | None, names: _Names
) -> Iterator[ClassificationRecord]:
    """The best class; without one, the name that the detector gave, unless it is "animal"."""
    if best:
        yield ClassificationRecord(names.classes[best[0]], best[1], names.classifier)
    elif category.lower() != subjects.ANIMAL:
        yield ClassificationRecord(category, conf, names.detector)


READERS.register(
    "megadetector",
    Reader(
        key="megadetector",
        name="results of MegaDetector",
        description="Images with boxes and classes, as MegaDetector and SpeciesNet write them.",
        recognises=recognises,
        read=read,
    ),
)
