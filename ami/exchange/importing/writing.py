"""The writing of a batch: occurrences, detections and classifications.

A detection is its box on its capture. An occurrence is found by its detections, and a
classification by its detection and algorithm. All others are found by name, see
:mod:`.parents`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db.models import Model
from django.utils import timezone

from ami.base.copying import copy_rows, next_ids
from ami.exchange.base import known_rows, refresh_statistics
from ami.exchange.importing import compare, people
from ami.exchange.importing.captures import CaptureKey, Placed, ensure_captures, known_captures
from ami.exchange.importing.decided import OWN
from ami.exchange.importing.detections import Found, write_detections
from ami.exchange.importing.oddities import drop_odd_sources
from ami.exchange.importing.options import Boxes, ImportOptions
from ami.exchange.importing.parents import Parents
from ami.exchange.importing.survey import captures_of, is_in_shares
from ami.exchange.plan import ImportPlan, Outcome
from ami.exchange.reading.records import (
    AlgorithmRecord,
    CaptureRecord,
    DeploymentRecord,
    DetectionRecord,
    EmptyCapture,
    Item,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.subjects import BOXLESS, NO_BOX
from ami.main.determinations import update_determinations
from ami.main.events import group_captures, update_event_times
from ami.main.models import Classification, Detection, Occurrence, SourceImage

WRITTEN = (SourceImage, Detection, Classification, Occurrence)
CLASSIFICATION = (
    "id",
    "detection_id",
    "taxon_id",
    "score",
    "scores",
    "logits",
    "terminal",
    "timestamp",
    "algorithm_id",
    "category_map_id",
    "applied_to_id",
)


@dataclass
class Portion:
    """Some items of a batch, and the rows for which they stand.

    `detections` holds those of each occurrence, by the `id()` of its record. `classified` holds the
    classifications of the file by their keys there. `touched` are the occurrences to determine, and
    `moved` the deployments whose captures are to be grouped again.
    """

    items: list[Item]
    parents: Parents
    plan: ImportPlan
    options: ImportOptions
    captures: dict[CaptureKey, SourceImage] = field(default_factory=dict)
    detections: dict[int, list[Found]] = field(default_factory=dict)
    classified: dict[str, int] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)
    created: Counter[type[Model]] = field(default_factory=Counter)

    @property
    def occurrences(self) -> Iterator[OccurrenceRecord]:
        """Yield the occurrences among the items."""
        return (one for one in self.items if isinstance(one, OccurrenceRecord))

    def write(self) -> None:
        """Write what is missing, compare what is not, and determine what was touched."""
        self._find_parents()
        self._find_captures()
        self._skip_detections()
        write_detections(self)
        known = compare.known_classifications(self)
        compare.detections(self, known)
        self._write_classifications(known)
        people.identify(self)
        self._refresh_statistics()
        update_determinations(self.touched)
        self._update_nights()

    def _refresh_statistics(self) -> None:
        """Refresh them whenever the import has doubled a table, or statements become slow."""
        self.parents.new_to_statistics += self.created[Detection]
        if self.parents.new_to_statistics > known_rows(Detection):
            refresh_statistics(*WRITTEN)
            self.parents.new_to_statistics = 0

    def recall(self) -> None:
        """Find what the batch found when it was written, before the import was interrupted."""
        self._find_parents()
        captures = [one for item in self.items for one in captures_of(item, self.options)]
        keys = {one.key for one in captures}
        self.parents.told |= {row.pk for row in known_captures(keys, self.parents).values()}

    def count(self, model: type[Model], number: int) -> None:
        """Count created rows."""
        self.created[model] += number
        self.plan.count(Outcome.CREATED, model, number)

    def _find_parents(self) -> None:
        places: dict[str, str] = {}
        algorithms: dict[AlgorithmRecord, dict[str, None]] = defaultdict(dict)
        self._find_deployments()
        for item in self.items:
            if isinstance(item, Skipped):
                place, name, reason = item
                self.plan.without_box += reason in BOXLESS
                self.plan.could_be_whole |= reason == NO_BOX
                self.plan.add(Outcome.SKIPPED, Occurrence, name, place, reason=reason)
        for record in self.occurrences:
            for detection in record.detections:
                if detection.algorithm:
                    algorithms[detection.algorithm].update({})
                for one in detection.classifications:
                    places.setdefault(one.label, detection.place)
                    algorithms[one.algorithm or OWN][one.label] = None
            if record.label:
                places.setdefault(record.label, record.place)
            for said in record.identifications:
                places.setdefault(said.label, record.place)
        self.parents.ensure_taxa(places, self.plan)
        self.parents.ensure_algorithms(algorithms, self.plan)

    def _find_deployments(self) -> None:
        """Find or create the deployments of all captures of the batch."""
        captures: list[CaptureRecord] = []
        places: dict[str, str] = {}
        for item in self.items:
            if isinstance(item, DeploymentRecord) and not self.options.deployment:
                self.parents.places[item.name] = item
            for one in captures_of(item, self.options):
                places.setdefault(one.deployment, item.place)
                captures.append(one)
        local = {one.deployment for one in captures if one.timestamp and not one.timestamp.tzinfo}
        self.moved |= self.parents.ensure_deployments(
            places, self.plan, local=local, update=self.options.update
        )

    def _find_captures(self) -> None:
        found: dict[CaptureKey, Placed] = {}
        sized: set[CaptureKey] = set()
        for item in self.items:
            if isinstance(item, EmptyCapture):
                found.setdefault(item.capture.key, Placed(item.place, item.capture))
        for record in self.occurrences:
            for one in record.detections:
                placed = found.setdefault(one.capture.key, Placed(one.place, one.capture))
                placed.capture.complete(one.capture)
                if is_in_shares(one, self.options):
                    sized.add(one.capture.key)
        self.captures, moved = ensure_captures(
            found, self.parents, self.plan, self.options, sized=sized
        )
        self.moved |= moved

    def _skip_detections(self) -> None:
        """Leave out the boxes that are shares of a capture without a size."""
        for record in list(self.occurrences):
            kept = [one for one in record.detections if not self._lacks_size(one)]
            for one in record.detections:
                if self._lacks_size(one):
                    name, reason = one.capture.path, "has a box in shares of an unknown size"
                    self.plan.add(Outcome.SKIPPED, Detection, name, one.place, reason=reason)
            record.detections = kept
        self.items = [
            one for one in self.items if not isinstance(one, OccurrenceRecord) or one.detections
        ]

    def _lacks_size(self, detection: DetectionRecord) -> bool:
        capture = self.capture(detection)
        in_shares = is_in_shares(detection, self.options)
        return in_shares and not (capture.width and capture.height)

    def capture(self, detection: DetectionRecord) -> SourceImage:
        """Return the capture of a detection."""
        return self.captures[detection.capture.key]

    def corners(self, detection: DetectionRecord) -> list[float]:
        """Return the box as x1, y1, x2, y2 in pixels."""
        a, b, c, d = detection.bbox
        if self.options.boxes == Boxes.XYWH:
            c, d = a + c, b + d
        if is_in_shares(detection, self.options):
            capture = self.capture(detection)
            wide, high = capture.width or 0, capture.height or 0
            return [a * wide, b * high, c * wide, d * high]
        return [float(number) for number in (a, b, c, d)]

    def every(self) -> Iterator[Found]:
        """Yield all detections of the batch."""
        for found in self.detections.values():
            yield from found

    def _write_classifications(self, known: compare.Known) -> None:
        missing = []
        written: dict[int, set[int]] = defaultdict(set)  # the algorithms of each detection
        for found in self.every():
            rows = {key: list(same) for key, same in known.get(found.pk, {}).items()}
            taken = written[found.pk] | rows.keys() if found.is_repeated else set()
            new = []
            for one in found.record.classifications:
                algorithm = self.parents.algorithms[one.algorithm or OWN]
                if same := rows.get(algorithm.pk):
                    row = same.pop(0)
                    if one.key:
                        self.classified[one.key] = row.pk
                elif algorithm.pk not in taken:
                    new.append((found, one, algorithm))
                    written[found.pk].add(algorithm.pk)
            if new:
                drop_odd_sources(found.record, self.plan)
            missing += new
        if not missing:
            return
        ids = next_ids(Classification, len(missing))
        self.classified |= {
            one.key: pk for pk, (_, one, _) in zip(ids, missing, strict=True) if one.key
        }
        now = timezone.now()
        rows_of = (
            (
                pk,
                found.pk,
                self.parents.taxa[one.label],
                one.score,
                one.scores,
                one.logits,
                one.terminal,
                self.parents.aware(one.timestamp, found.record.capture) or now,
                algorithm.pk,
                algorithm.category_map_id,
                self.classified.get(one.applied_to),
            )
            for pk, (found, one, algorithm) in zip(ids, missing, strict=True)
        )
        copy_rows(Classification, CLASSIFICATION, rows_of)
        self.count(Classification, len(missing))
        self.touched |= {found.occurrence_id for found, _, _ in missing if found.occurrence_id}

    def _update_nights(self) -> None:
        """Set the times of the nights, and group captures again whose time was changed."""
        update_event_times({row.event_id for row in self.captures.values() if row.event_id})
        for deployment_id in sorted(self.moved):
            group_captures(deployment_id)
