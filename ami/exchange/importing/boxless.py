"""Observations without a box, which are left out, or get a box of the whole picture on demand."""

from collections.abc import Iterator
from pathlib import Path

from ami.exchange.importing.options import Boxes, ImportOptions
from ami.exchange.reading import subjects
from ami.exchange.reading.records import DetectionRecord, Item, OccurrenceRecord, Skipped
from ami.exchange.reading.registry import Reader


def items_of(reader: Reader, path: Path, options: ImportOptions) -> Iterator[Item]:
    """Yield what the reader does, where those without a box are skipped unless they are wanted.

    Several on one picture are skipped in any case: the same box would make them one detection.
    """
    for item in reader.read(path):
        if isinstance(item, OccurrenceRecord) and any(one.whole for one in item.detections):
            yield from _wanted(item, options)
        else:
            yield item


def _wanted(record: OccurrenceRecord, options: ImportOptions) -> Iterator[Item]:
    kept: list[DetectionRecord] = []
    for one in record.detections:
        if not one.whole or (options.boxes == Boxes.WHOLE and not one.shared):
            kept.append(one)
        else:
            reason = subjects.SHARED_PICTURE if one.shared else subjects.NO_BOX
            yield Skipped(one.place, _name(record, one), reason)
    record.detections = kept
    if kept:
        yield record


def _name(record: OccurrenceRecord, detection: DetectionRecord) -> str:
    labels = [record.label]
    labels += [one.label for one in record.identifications]
    labels += [one.label for one in detection.classifications]
    return next(filter(None, [*labels, record.key]), subjects.ANIMAL)
