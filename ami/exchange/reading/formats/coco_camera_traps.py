"""COCO Camera Traps: images, categories, and annotations that refer to them in any order."""

from collections.abc import Iterator, Mapping
from datetime import datetime as time
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, validator

from ami.exchange.base import ImportRefusedError, shown
from ami.exchange.reading import subjects, validation
from ami.exchange.reading.json_stream import json_items
from ami.exchange.reading.records import (
    WHOLE,
    AlgorithmRecord,
    CaptureRecord,
    ClassificationRecord,
    DetectionRecord,
    EmptyCapture,
    Fault,
    IdentificationRecord,
    Item,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.registry import READERS, Reader
from ami.exchange.reading.spool import Part, Said, Spool
from ami.exchange.reading.start import Kind, Start

EMPTY = "0"
# The words for boxes that have no name; the second is our own.
UNNAMED = frozenset({subjects.ANIMAL, "unnamed"})

optional_id = validation.optional(validation.check_id)
optional_name = validation.optional(validation.check_name)
optional_time = validation.optional(validation.check_camera_time)


class _Image(BaseModel):
    id: str
    file_name: str
    width: int | None = None
    height: int | None = None
    datetime: time | None = None
    date_captured: time | None = None  # the name of COCO
    location: str | None = None
    location_name: str | None = None  # our own
    seq_id: str | None = None

    _id = validator("id", pre=True, allow_reuse=True)(validation.check_id)
    _file = validator("file_name", pre=True, allow_reuse=True)(validation.check_file_name)
    _ids = validator("location", "seq_id", pre=True, allow_reuse=True)(optional_id)
    _name = validator("location_name", pre=True, allow_reuse=True)(optional_name)
    _time = validator("datetime", "date_captured", pre=True, allow_reuse=True)(optional_time)
    _size = validator("width", "height", pre=True, allow_reuse=True)(
        validation.optional(validation.check_size)
    )


class _Category(BaseModel):
    id: str
    name: str

    _id = validator("id", pre=True, allow_reuse=True)(validation.check_id)
    _name = validator("name", pre=True, allow_reuse=True)(validation.check_name)


def _check_box(value: Any) -> list[float]:
    return validation.check_corner_and_size(value) if value else []


def _check_share_box(value: Any) -> list[float]:
    return validation.check_share_box(value) if value else []


class _Annotation(BaseModel):
    image_id: str
    category_id: str
    bbox: list[float] = []
    bbox_relative: list[float] = []
    # Our own, but for `score`, which detectors write.
    individual_id: str | None = None
    annotator: str | None = None
    independent: bool | None = None
    algorithm: str | None = None
    score: float | None = None

    _ids = validator("image_id", "category_id", pre=True, allow_reuse=True)(validation.check_id)
    _box = validator("bbox", pre=True, allow_reuse=True)(_check_box)
    _shares = validator("bbox_relative", pre=True, allow_reuse=True)(_check_share_box)
    _individual = validator("individual_id", pre=True, allow_reuse=True)(optional_id)
    _names = validator("annotator", "algorithm", pre=True, allow_reuse=True)(optional_name)
    _score = validator("score", pre=True, allow_reuse=True)(
        validation.optional(validation.check_score)
    )


class _Seen(NamedTuple):
    """An annotation; `machine` says that a person has not given the name.

    It is about the whole image if its `box` is empty.
    """

    place: str
    image: str
    individual: str
    box: list[float]
    fractions: bool
    label: str
    machine: bool
    by: str
    score: float | None


class _Frame(NamedTuple):
    """A capture with its sequence."""

    capture: CaptureRecord
    sequence: str


def recognises(start: Start) -> bool:
    return start.kind == Kind.OBJECT and (
        "file_name" in start.keys.get("images", ())
        or {"image_id", "category_id"} <= set(start.keys.get("annotations", ()))
    )


def read(path: Path) -> Iterator[Item]:
    with Spool.opened() as spool:
        categories: dict[str, str] = {}
        yield from _keep_categories(path, categories)
        number = -1
        for number, value in enumerate(json_items(path, "images.item")):
            yield from _keep_image(value, f"images[{number}]", spool)
        if number < 0:
            raise ImportRefusedError(f"{path} must contain a list of at least one image as images.")
        for index, value in enumerate(json_items(path, "annotations.item")):
            yield from _keep_annotation(value, f"annotations[{index}]", categories, spool)
        for parts in spool.bundles():
            yield from _occurrences(parts)
        for place, said, frame in spool.captures():
            if frame and said == Said.EMPTY:
                yield EmptyCapture(place, frame.capture)
            elif frame and said == Said.NOTHING:
                yield Skipped(place, frame.capture.path, "has no annotation")


def _keep_categories(path: Path, categories: dict[str, str]) -> Iterator[Item]:
    for index, value in enumerate(json_items(path, "categories.item")):
        category = validation.parsed(_Category, value, f"categories[{index}]")
        if isinstance(category, list):
            yield from category
        else:
            categories[category.id] = category.name


def _keep_image(value: Any, place: str, spool: Spool) -> Iterator[Item]:
    image = validation.parsed(_Image, value, place)
    if isinstance(image, list):
        yield from image
        return
    capture = CaptureRecord(
        deployment=image.location_name or image.location or "",
        path=image.file_name,
        timestamp=image.datetime or image.date_captured,
        width=image.width,
        height=image.height,
    )
    if not spool.add_capture(image.id, place, _Frame(capture, image.seq_id or "")):
        yield Fault(f"{place}.id", f"stands twice, got {shown(image.id)}.")


def _keep_annotation(
    value: Any, place: str, categories: Mapping[str, str], spool: Spool
) -> Iterator[Item]:
    one = validation.parsed(_Annotation, value, place)
    if isinstance(one, list):
        yield from one
        return
    category = categories.get(one.category_id)
    if category is None:
        sentence = f"must be the id of a category, got {shown(one.category_id)}."
        yield Fault(f"{place}.category_id", sentence)
        return
    if one.category_id == EMPTY or category.lower() in subjects.EMPTY:
        spool.say(one.image_id, Said.EMPTY)
        return
    spool.say(one.image_id, Said.SEEN)
    if category.lower() in subjects.NOT_ANIMALS:
        yield Skipped(place, category, subjects.NO_ANIMAL)
    else:
        _keep_seen(one, place, category, spool)


def _keep_seen(one: _Annotation, place: str, category: str, spool: Spool) -> None:
    machine = bool({"algorithm", "score"} & one.__fields_set__)
    seen = _Seen(
        place=place,
        image=one.image_id,
        individual=one.individual_id or "",
        box=one.bbox or one.bbox_relative,
        fractions=not one.bbox,
        label="" if category.lower() in UNNAMED else category,
        machine=machine,
        by=(one.algorithm if machine else one.annotator) or "",
        score=one.score,
    )
    # Several annotations may name the same box.
    bundle = (seen.individual,) if seen.individual else (seen.image, repr(seen.box or place))
    spool.add_part("\0".join(bundle), seen, capture=seen.image, whole=not seen.box)


def _occurrences(parts: list[Part]) -> Iterator[Item]:
    """Yield the occurrences of an individual, one for each sequence of each location."""
    found: dict[tuple[str, str], list[tuple[_Seen, CaptureRecord, bool]]] = {}
    for seen, frame, known, shared in parts:
        if known:
            where = frame.capture.deployment, frame.sequence
            found.setdefault(where, []).append((seen, frame.capture, shared))
        else:
            sentence = f"must be the id of an image, got {shown(seen.image)}."
            yield Fault(f"{seen.place}.image_id", sentence)
    for (location, sequence), several in found.items():
        yield _occurrence(sequence or location, several)


def _occurrence(where: str, several: list[tuple[_Seen, CaptureRecord, bool]]) -> OccurrenceRecord:
    detections: dict[tuple[str, str], DetectionRecord] = {}
    people: dict[tuple[str, str], IdentificationRecord] = {}
    for seen, capture, shared in several:
        detection = detections.setdefault(
            (seen.image, repr(seen.box)),
            DetectionRecord(
                seen.place,
                capture,
                seen.box or WHOLE,
                fractions=seen.fractions,
                whole=not seen.box,
                shared=shared,
            ),
        )
        if seen.label and seen.machine:
            algorithm = AlgorithmRecord(seen.by) if seen.by else None
            detection.classifications.append(
                ClassificationRecord(seen.label, seen.score, algorithm)
            )
        elif seen.label:
            person = IdentificationRecord(seen.label, seen.by)
            people.setdefault((seen.label, seen.by), person)
    first = several[0][0]
    return OccurrenceRecord(
        place=first.place,
        detections=list(detections.values()),
        key="/".join(filter(None, (where, first.individual))) if first.individual else "",
        identifications=list(people.values()),
    )


READERS.register(
    "coco_camera_traps",
    Reader(
        key="coco_camera_traps",
        name="a COCO Camera Traps document",
        description="Images, categories and annotations with boxes, as LILA publishes them.",
        recognises=recognises,
        read=read,
    ),
)
