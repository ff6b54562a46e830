"""The detections of a portion, and their occurrences: found, created, or repeated.

A detection is its box on its capture. One that stands in the file before is repeated: it is not
doubled, and adds the results of algorithms that the first one lacks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ami.base.copying import copy_rows, next_ids
from ami.exchange.importing.decided import OWN
from ami.exchange.importing.keys import BoxKey, box_keys, known_detections
from ami.exchange.importing.oddities import (
    tell_odd_box,
    tell_repeated,
    tell_several_results,
    tell_split_occurrence,
)
from ami.exchange.reading.records import DetectionRecord, OccurrenceRecord
from ami.main.models import Detection, Occurrence

if TYPE_CHECKING:
    from ami.exchange.importing.writing import Portion

COLUMNS = (
    "id",
    "source_image_id",
    "bbox",
    "timestamp",
    "path",
    "occurrence_id",
    "detection_algorithm_id",
    "detection_score",
)
Key = tuple[int, BoxKey]  # the id of the capture, and the box on it
Corners = Mapping[int, list[float]]  # by the `id()` of the record
Known = Mapping[Key, Detection]


@dataclass
class Found:
    """A detection of the file in the database. It is `known` if it existed before the batch.

    One that `is_repeated` is the detection of an earlier record.
    """

    pk: int
    occurrence_id: int | None
    record: DetectionRecord
    known: Detection | None = None
    is_repeated: bool = False


def write_detections(portion: "Portion") -> None:
    """Fill in the detections of the portion, and write those that are new."""
    records = [one for record in portion.occurrences for one in record.detections]
    boxes = {id(one): portion.corners(one) for one in records}
    known = known_detections(
        [portion.capture(one).pk for one in records], [boxes[id(one)][0] for one in records]
    )
    repeated = _find_repeated(portion, records, boxes, known)
    own = [one for one in records if id(one) not in repeated]
    found: dict[int, Detection] = {}
    for one in own if known else ():
        if row := next((known[key] for key in _keys(portion, one, boxes) if key in known), None):
            found[id(one)] = row
    occurrences = _write_occurrences(portion, found, repeated)
    new = [one for one in own if id(one) not in found]
    ids = dict(zip(map(id, new), next_ids(Detection, len(new)), strict=True))
    for record in portion.occurrences:
        portion.detections[id(record)] = [
            Found(row.pk, row.occurrence_id, one, row)
            if (row := found.get(id(one)))
            else Found(ids[id(one)], occurrences[id(record)], one)
            for one in record.detections
            if id(one) not in repeated
        ]
    if new:
        copy_rows(Detection, COLUMNS, _rows(portion, boxes))
    portion.count(Detection, len(new))
    if repeated:
        _add_repeated(portion, repeated, boxes, known)


def _keys(portion: "Portion", one: DetectionRecord, boxes: Corners) -> Iterator[Key]:
    """Yield the keys by which the row of a detection may be found, first its own."""
    return ((portion.capture(one).pk, key) for key in box_keys(boxes[id(one)]))


def _find_repeated(
    portion: "Portion", records: Sequence[DetectionRecord], boxes: Corners, known: Known
) -> dict[int, Key]:
    """Return the key of each repeated detection, whose first one is known or of this portion."""
    found: dict[int, Key] = {}
    if not any(one.same_as for one in records):
        return found
    seen: set[Key] = set()
    for one in records:
        keys = list(_keys(portion, one, boxes))
        key = next((key for key in keys if key in seen or key in known), None)
        if one.same_as and key:
            found[id(one)] = key
        else:
            seen.add(keys[0])
    return found


def _add_repeated(
    portion: "Portion", repeated: Mapping[int, Key], boxes: Corners, known: Known
) -> None:
    """Let repeated detections stand for the first ones, after the own ones of their occurrence."""
    firsts = {next(_keys(portion, one.record, boxes)): one for one in portion.every()}
    for record in portion.occurrences:
        again = [one for one in record.detections if id(one) in repeated]
        if again:
            tell_repeated(record, again, portion.plan)
        for one in again:
            key = repeated[id(one)]
            first = firsts[key] if key in firsts else known[key]
            portion.detections[id(record)].append(
                Found(first.pk, first.occurrence_id, one, is_repeated=True)
            )


def _rows(portion: "Portion", boxes: Corners) -> Iterator[tuple[Any, ...]]:
    for found in portion.every():
        if found.known:
            continue
        one = found.record
        algorithm = one.algorithm and portion.parents.algorithms[one.algorithm].pk
        capture = portion.capture(one)
        at = portion.parents.aware(one.timestamp, one.capture) or capture.timestamp
        box = boxes[id(one)]
        tell_odd_box(box, capture, one.place, portion.plan)
        tell_several_results(one.classifications, OWN.name, one.place, portion.plan)
        yield found.pk, capture.pk, box, at, one.crop, found.occurrence_id, algorithm, one.score


def _write_occurrences(
    portion: "Portion", found: Mapping[int, Detection], repeated: Mapping[int, Key]
) -> dict[int, int | None]:
    """Return the occurrence of each record: that of its own detections, or a new one."""
    ids: dict[int, int | None] = {}
    missing: list[tuple[OccurrenceRecord, list[DetectionRecord]]] = []
    for record in portion.occurrences:
        own = [one for one in record.detections if id(one) not in repeated]
        rows = [found.get(id(one)) for one in own]
        ids[id(record)] = next(
            (row.occurrence_id for row in rows if row and row.occurrence_id), None
        )
        if ids[id(record)] is None and None in rows:
            missing.append((record, own))
    pks = next_ids(Occurrence, len(missing))
    for pk, (record, own) in zip(pks, missing, strict=True):
        ids[id(record)] = pk
        tell_split_occurrence(record, map(portion.capture, own), portion.plan)
    values = (
        (pk, capture.event_id, capture.deployment_id, portion.parents.project.pk)
        for pk, (_, own) in zip(pks, missing, strict=True)
        for capture in [portion.capture(own[0])]
    )
    if missing:
        copy_rows(Occurrence, ("id", "event_id", "deployment_id", "project_id"), values)
    portion.count(Occurrence, len(missing))
    return ids
