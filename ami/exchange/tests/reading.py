"""What the tests of readers share."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from ami.exchange.importing.boxless import items_of
from ami.exchange.importing.options import Boxes, ImportOptions
from ami.exchange.reading.records import (
    DetectionRecord,
    EmptyCapture,
    Fault,
    Item,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.registry import reader_of

SAMPLES = Path(__file__).parent / "samples"


def items(path: Path, key: str, *, boxes: Boxes = Boxes.AS_WRITTEN) -> list[Item]:
    """What an import takes from the reader of the path, which must be `key`."""
    return list(items_of(reader_of(path, key=key), path, ImportOptions(boxes=boxes)))


def occurrences(found: list[Item]) -> list[OccurrenceRecord]:
    return [one for one in found if isinstance(one, OccurrenceRecord)]


def detections(found: list[Item]) -> list[DetectionRecord]:
    return [detection for one in occurrences(found) for detection in one.detections]


def empty(found: list[Item]) -> list[str]:
    return [one.capture.path for one in found if isinstance(one, EmptyCapture)]


def faults(found: list[Item]) -> list[str]:
    return [str(one) for one in found if isinstance(one, Fault)]


def skipped(found: list[Item]) -> list[tuple[Any, ...]]:
    return [tuple(one) for one in found if isinstance(one, Skipped)]


def with_change(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a JSON document with another value at the path; `...` removes what stands there."""
    copy = deepcopy(document)
    target = copy
    for step in path[:-1]:
        target = target[step]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return copy
