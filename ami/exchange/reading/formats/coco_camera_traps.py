"""COCO Camera Traps: images, categories, and annotations that refer to them in any order."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ami.exchange.base import shown
from ami.exchange.reading import subjects
from ami.exchange.reading.json_row import JsonRow, json_rows
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
from ami.exchange.reading.registry import Reader, register
from ami.exchange.reading.spool import Part, Said, Spool
from ami.exchange.reading.start import Kind, Start
from ami.exchange.reading.validation import (
    check_camera_time,
    check_corner_and_size,
    check_file_name,
    check_id,
    check_name,
    check_score,
    check_share_box,
    check_size,
    optional,
)

EMPTY = "0"
# The words for boxes that have no name; the second is our own.
UNNAMED = frozenset({subjects.ANIMAL, "unnamed"})

_optional_id = optional(check_id)
_optional_name = optional(check_name)
_optional_time = optional(check_camera_time)


def _check_box(value: Any) -> list[float]:
    return check_corner_and_size(value) if value else []


def _check_share_box(value: Any) -> list[float]:
    return check_share_box(value) if value else []


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
        for row in json_rows(path, "images", noun="image"):
            yield from _keep_image(row, spool)
        for row in json_rows(path, "annotations"):
            yield from _keep_annotation(row, categories, spool)
        for parts in spool.bundles():
            yield from _occurrences(parts)
        for place, said, frame in spool.captures():
            if frame and said == Said.EMPTY:
                yield EmptyCapture(place, frame.capture)
            elif frame and said == Said.NOTHING:
                yield Skipped(place, frame.capture.path, "has no annotation")


def _keep_categories(path: Path, categories: dict[str, str]) -> Iterator[Item]:
    for row in json_rows(path, "categories"):
        pk, name = row.need("id", check_id, ""), row.need("name", check_name, "")
        yield from row.faults
        if not row.faults:
            categories[pk] = name


def _keep_image(row: JsonRow, spool: Spool) -> Iterator[Item]:
    pk, path = row.need("id", check_id, ""), row.need("file_name", check_file_name, "")
    width, height = (row.get(key, optional(check_size), None) for key in ("width", "height"))
    at = row.get("datetime", _optional_time, None)
    captured = row.get("date_captured", _optional_time, None)  # the name of COCO
    location = row.get("location", _optional_id, None)
    name = row.get("location_name", _optional_name, None)  # our own
    sequence = row.get("seq_id", _optional_id, None)
    if row.faults:
        yield from row.faults
        return
    capture = CaptureRecord(
        deployment=name or location or "",
        path=path,
        timestamp=at or captured,
        width=width,
        height=height,
    )
    if not spool.add_capture(pk, row.place, _Frame(capture, sequence or "")):
        yield Fault(row.at("id"), f"occurs twice, got {shown(pk)}.")


def _keep_annotation(row: JsonRow, categories: Mapping[str, str], spool: Spool) -> Iterator[Item]:
    image, pk = row.need("image_id", check_id, ""), row.need("category_id", check_id, "")
    seen = _seen(row, image)
    category = categories.get(pk)
    if category is None and not row.faults:
        row.refuse("category_id", f"must be the id of a category, got {shown(pk)}.")
    if category is None or row.faults:
        yield from row.faults
    elif pk == EMPTY or category.lower() in subjects.EMPTY:
        spool.say(image, Said.EMPTY)
    else:
        spool.say(image, Said.SEEN)
        if category.lower() in subjects.NOT_ANIMALS:
            yield Skipped(row.place, category, subjects.NO_ANIMAL)
        else:
            _keep(seen._replace(label="" if category.lower() in UNNAMED else category), spool)


def _seen(row: JsonRow, image: str) -> _Seen:
    """What an annotation says, without its label."""
    box: list[float] = row.get("bbox", _check_box, [])
    shares: list[float] = row.get("bbox_relative", _check_share_box, [])
    # Our own, but for `score`, which detectors write.
    individual = row.get("individual_id", _optional_id, None)
    annotator = row.get("annotator", _optional_name, None)
    algorithm = row.get("algorithm", _optional_name, None)
    score = row.get("score", optional(check_score), None)
    machine = bool({"algorithm", "score"} & row.values.keys())
    return _Seen(
        place=row.place,
        image=image,
        individual=individual or "",
        box=box or shares,
        fractions=not box,
        label="",
        machine=machine,
        by=(algorithm if machine else annotator) or "",
        score=score,
    )


def _keep(seen: _Seen, spool: Spool) -> None:
    # Several annotations may name the same box.
    bundle = (seen.individual,) if seen.individual else (seen.image, repr(seen.box or seen.place))
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


register(
    Reader(
        key="coco_camera_traps",
        name="a COCO Camera Traps document",
        description="Images, categories and annotations with boxes, as LILA publishes them.",
        recognises=recognises,
        read=read,
    )
)
