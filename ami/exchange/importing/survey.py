"""The first reading of a file: what is wrong with it, and how it is divided into batches."""

import io
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from django.db import connection

from ami.base.copying import as_text
from ami.exchange.base import MAX_FAULTS, ImportRefusedError
from ami.exchange.importing.boxless import items_of
from ami.exchange.importing.decided import Names
from ami.exchange.importing.keys import box_key
from ami.exchange.importing.media import check_media
from ami.exchange.importing.options import Boxes, ImportOptions
from ami.exchange.importing.sizes import Sizes
from ami.exchange.importing.vectors import Vectors
from ami.exchange.reading.records import (
    CaptureRecord,
    DetectionRecord,
    EmptyCapture,
    Fault,
    Item,
    OccurrenceRecord,
)
from ami.exchange.reading.registry import Reader

BATCH = 1000  # items
BATCH_DETECTIONS = 5000
FLUSHED = 5000  # rows
# Pixels of a capture whose size is not known, to compare boxes that are shares of it.
NOMINAL = 10_000

SEEN = """
CREATE TEMPORARY TABLE import_seen (
    number bigint, item bigint, nth bigint, place text, occurrence bigint, capture bigint,
    detection bigint, at bigint, size bigint, day bigint
)
"""
# What occurs twice in the file, found by PostgreSQL, because the file may be larger than memory.
TWICE = """
SELECT number, place, first, fault FROM (
    -- Each is compared with the first one that is known: NULL stands for what is not told.
    SELECT number, place, first_value(place) OVER same AS first,
           at <> first_value(at) OVER (PARTITION BY capture ORDER BY at IS NULL, number)
           OR size <> first_value(size) OVER (PARTITION BY capture ORDER BY size IS NULL, number)
           OR day <> first_value(day) OVER (PARTITION BY capture ORDER BY day IS NULL, number)
           AS again,
           'capture' AS fault
    FROM import_seen WHERE capture IS NOT NULL
    WINDOW same AS (PARTITION BY capture ORDER BY number)
    UNION ALL
    SELECT number, place, first_value(place) OVER same,
           row_number() OVER same > 1, 'occurrence'
    FROM import_seen WHERE occurrence IS NOT NULL
    WINDOW same AS (PARTITION BY occurrence ORDER BY number)
) seen WHERE again ORDER BY number
"""
REPEATED = """
SELECT item, nth, first FROM (
    SELECT number, item, nth, first_value(place) OVER same AS first,
           row_number() OVER same > 1 AS again
    FROM import_seen WHERE detection IS NOT NULL
    WINDOW same AS (PARTITION BY capture, detection ORDER BY number)
) seen WHERE again ORDER BY number
"""
NO_DEPLOYMENT = "names no deployment. Set the option “Deployment” (--deployment)."
TOLD = {
    "capture": "tells another time, size or night of its capture than {}.",
    "occurrence": "has the same id as {}; each may occur only once.",
}


class Repeated(NamedTuple):
    """Which detection of which item has the same box as one before, and the place of that."""

    item: int
    nth: int
    first: str


@dataclass
class Batch:
    """Some items of a file, from the number `first` on."""

    first: int
    items: int = 0
    detections: int = 0


@dataclass
class Survey:
    """What a file contains. `repeated` is in the order of the items."""

    items: int = 0
    detections: int = 0
    batches: list[Batch] = field(default_factory=list)
    repeated: list[Repeated] = field(default_factory=list)
    names: Names = field(default_factory=lambda: Names(set(), set()))

    def add(self, detections: int) -> None:
        """Count an item with its detections, in the last batch or in a new one."""
        last = self.batches[-1] if self.batches else None
        if last is None or last.items >= BATCH or last.detections >= BATCH_DETECTIONS:
            last = Batch(self.items)
            self.batches.append(last)
        last.items += 1
        last.detections += detections
        self.items += 1
        self.detections += detections

    def repeated_in(self, first: int, items: int) -> list[Repeated]:
        """Return those of some items."""
        start = bisect_left(self.repeated, first, key=itemgetter(0))
        return self.repeated[start : bisect_left(self.repeated, first + items, key=itemgetter(0))]


def survey(reader: Reader, path: Path, options: ImportOptions, *, project_id: int | None) -> Survey:
    """Read the whole file, write nothing, and return what it contains.

    Raises ImportRefusedError with the first ten faults and the number of the others.
    """
    check_media(options.media)
    found = Survey()
    faults: list[str] = []
    number = 0
    for fault in _faults(items_of(reader, path, options), found, options, project_id):
        number += 1
        if len(faults) < MAX_FAULTS:
            faults.append(str(fault))
    if number:
        raise ImportRefusedError(*faults, more=number - len(faults))
    return found


def _faults(
    items: Iterable[Item], found: Survey, options: ImportOptions, project_id: int | None
) -> Iterator[Fault | str]:
    sizes, vectors = Sizes(project_id, options.media), Vectors()
    only_shares = not options.boxes
    with _seen() as seen:
        for item in items:
            if isinstance(item, Fault):
                yield item
                continue
            detections = item.detections if isinstance(item, OccurrenceRecord) else []
            found.add(len(detections))
            if any(not one.deployment for one in captures_of(item, options)):
                yield Fault(item.place, NO_DEPLOYMENT)
                continue
            for one in detections:
                only_shares = only_shares and not one.fractions and _is_small(one.bbox)
                if is_in_shares(one, options):
                    yield from sizes.need(one.capture, one.place)
                yield from vectors.faults(one)
            if isinstance(item, OccurrenceRecord):
                found.names.add(item)
                seen.add(item, found.items - 1, options)
        yield from sizes.faults()
        yield from seen.faults()
        found.repeated = seen.repeated()
    if found.detections and only_shares:
        yield (
            "The numbers of all boxes are from 0 to 1, so they are shares of the width and height "
            "of the capture. Set the option “Boxes” to fractions (--boxes fractions)."
        )


def captures_of(item: Item, options: ImportOptions) -> list[CaptureRecord]:
    """Return the captures of an item, after putting them into the deployment of the options."""
    match item:
        case OccurrenceRecord():
            found = [one.capture for one in item.detections]
        case EmptyCapture():
            found = [item.capture]
        case _:
            return []
    if options.deployment:
        for capture in found:
            capture.deployment = options.deployment
    return found


def is_in_shares(detection: DetectionRecord, options: ImportOptions) -> bool:
    """Whether the box is in shares of the width and height of the capture."""
    return detection.fractions or options.boxes == Boxes.FRACTIONS


def _is_small(box: Sequence[float]) -> bool:
    return all(0 <= number <= 1 for number in box)


class _Seen:
    """The occurrences, captures and detections of the file, in a temporary table, as hashes."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._number = 0  # of rows

    def add(self, item: OccurrenceRecord, number: int, options: ImportOptions) -> None:
        """Remember an occurrence, which is the item of this number."""
        self._write(number, None, item.place, hash(item.key) if item.key else None, *[None] * 5)
        for nth, detection in enumerate(item.detections):
            capture = detection.capture
            size = (capture.width, capture.height) if capture.width and capture.height else None
            told = (capture.timestamp, size, capture.night)
            facts = (None if one is None else hash(one) for one in told)
            scale = NOMINAL if is_in_shares(detection, options) else 1
            box = box_key([scale * side for side in detection.bbox])
            row = number, nth, detection.place, None, hash(capture.key), hash(box)
            self._write(*row, *facts)
        if len(self._lines) >= FLUSHED:
            self._flush()

    def faults(self) -> Iterator[Fault]:
        """Yield what occurs twice, in the order of the file."""
        self._flush()
        with connection.cursor() as cursor:
            cursor.execute(TWICE)
            for _, place, first, fault in cursor.fetchall():
                yield Fault(place, TOLD[fault].format(first))

    def repeated(self) -> list[Repeated]:
        """Return the detections that have the box of an earlier one. Call `faults` before."""
        with connection.cursor() as cursor:
            cursor.execute(REPEATED)
            return [Repeated(*row) for row in cursor.fetchall()]

    def _write(self, *cells: int | str | None) -> None:
        self._number += 1
        self._lines.append("\t".join(map(as_text, (self._number, *cells))))

    def _flush(self) -> None:
        text = "".join(f"{line}\n" for line in self._lines)
        self._lines.clear()
        with connection.cursor() as cursor:
            cursor.copy_expert("COPY import_seen FROM STDIN", io.StringIO(text))


@contextmanager
def _seen() -> Iterator[_Seen]:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.import_seen")
        cursor.execute(SEEN)
    yield _Seen()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE pg_temp.import_seen")
