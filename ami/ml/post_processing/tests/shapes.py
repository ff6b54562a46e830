"""Methods like those written for Antenna: each overrides `run`.

They loop over rows, save them singly or in bulk, and open their own transactions. Of this project's
framework, they use only what such code expects.
"""

from itertools import pairwise

import numpy as np
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from pydantic import BaseModel, Field, root_validator

from ami.main.models import (
    Classification,
    Detection,
    Event,
    SourceImageCollection,
    TaxaList,
    Taxon,
    TaxonRank,
)
from ami.ml.models import Algorithm
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.schemas import BoundingBox

FLUSH = 2


class OneScopeConfig(BaseModel):
    source_image_collection_id: int | None = None
    occurrence_id: int | None = None

    class Config:
        extra = "forbid"

    @root_validator(skip_on_failure=True)
    def one_of_them(cls, values: dict[str, object]) -> dict[str, object]:  # noqa: N805
        if (values["source_image_collection_id"] is None) == (values["occurrence_id"] is None):
            raise ValueError("Give a capture set or an occurrence.")
        return values


class ScopedTask(BasePostProcessingTask):
    """Selects the rows, and leaves the rest to its subclasses."""

    def detections(self) -> QuerySet[Detection]:
        if self.config.occurrence_id is not None:
            return Detection.objects.filter(occurrence_id=self.config.occurrence_id)
        capture_set = SourceImageCollection.objects.get(pk=self.config.source_image_collection_id)
        return Detection.objects.filter(source_image__collections=capture_set)


class TinyConfig(OneScopeConfig):
    smallest_share: float = Field(
        0.001,
        title=_("Smallest share"),  # type: ignore[arg-type]
        description=_("Of the frame."),  # type: ignore[arg-type]
        gt=0,
        lt=1,
    )


class TinyTask(ScopedTask):
    """Looks at each box, and writes several times."""

    key = "tiny"
    name = "Tiny boxes"
    description = _("Names what is too small to identify.")  # type: ignore[assignment]
    config_schema = TinyConfig

    def run(self) -> None:
        unknown, _created = Taxon.objects.get_or_create(
            name="Not identifiable", defaults={"rank": TaxonRank.UNKNOWN}
        )
        found = self.detections().select_related("source_image", "occurrence").order_by("pk")
        total, flagged = found.count(), 0
        flags: list[Classification] = []
        for number, detection in enumerate(found.iterator(), start=1):
            box = detection.get_bbox()
            if box is None or BoundingBox.from_coords(detection.bbox, raise_on_error=False) != box:
                self.logger.warning("Detection %d has no box.", detection.pk)
            elif self._share(box, detection) < self.config.smallest_share:
                flags.append(
                    Classification(
                        detection=detection,
                        taxon=unknown,
                        score=1.0,
                        algorithm=self.algorithm,
                        timestamp=timezone.now(),
                    )
                )
            if number % FLUSH == 0 or number == total:
                flagged += len(flags)
                self._write(flags)
                flags.clear()
                self.update_progress(number / total)
                self.report_stage_metrics(
                    {"detections_checked": number, "detections_flagged": flagged}
                )

    def _share(self, box: BoundingBox, detection: Detection) -> float:
        capture = detection.source_image
        return box.width * box.height / ((capture.width or 1) * (capture.height or 1))

    def _write(self, flags: list[Classification]) -> None:
        Classification.objects.bulk_create(flags)
        for detection in (flag.detection for flag in flags):
            detection.updated_at = timezone.now()
            detection.save()
            if detection.occurrence is not None:
                detection.occurrence.save(update_determination=True)


class ListedConfig(OneScopeConfig):
    taxa_list_id: int
    algorithm_id: int


class ListedTask(ScopedTask):
    """Computes the softmax of the listed classes' logits, with the taxa of the category map."""

    key = "listed"
    name = "Listed classes"
    config_schema = ListedConfig

    def run(self) -> None:
        classifier = Algorithm.objects.get(pk=self.config.algorithm_id)
        listed = set(TaxaList.objects.get(pk=self.config.taxa_list_id).taxa.all())
        assert classifier.category_map is not None
        classes = classifier.category_map.with_taxa()
        outside = [int(one["index"]) for one in classes if one["taxon"] not in listed]
        rows = Classification.objects.filter(
            detection__in=self.detections(),
            algorithm=classifier,
            terminal=True,
            logits__isnull=False,
        )
        self.report_stage_metrics({"Classifications found": rows.count()})
        made = []
        with transaction.atomic():
            for row in list(rows.iterator()):
                logits = np.array(row.logits)
                logits[outside] = -np.inf
                scores = np.exp(logits - logits.max())
                scores /= scores.sum()
                row.terminal = False
                row.save()
                best = int(scores.argmax())
                made.append(
                    Classification(
                        detection=row.detection,
                        taxon=classes[best]["taxon"],
                        score=float(scores[best]),
                        scores=scores.tolist(),
                        logits=row.logits,
                        algorithm=self.algorithm,
                        category_map=row.category_map,
                        applied_to=row,
                    )
                )
            Classification.objects.bulk_create(made)
            for row in made:
                if row.detection.occurrence is not None:
                    row.detection.occurrence.save()
        self.report_stage_metrics({"classifications_masked": len(made)})
        self.update_progress(1.0)


class CoarserConfig(OneScopeConfig):
    thresholds: dict[str, float] = {"SPECIES": 0.8, "GENUS": 0.6}


class CoarserTask(ScopedTask):
    """Sums the scores under the ancestors of taxa, one row per transaction."""

    key = "coarser"
    name = "Coarser ranks"
    config_schema = CoarserConfig

    def run(self) -> None:
        rows = Classification.objects.filter(
            detection__in=self.detections(), terminal=True, scores__isnull=False
        )
        total, changed = rows.count(), 0
        for number, row in enumerate(rows.select_related("detection").iterator(), start=1):
            taxon, score = self._best(row)
            if taxon is not None and taxon != row.taxon:
                self._replace(row, taxon, score)
                changed += 1
            self.update_progress(number / total)
        self.report_stage_metrics({"Rolled up": changed, "Classifications checked": total})

    def _best(self, row: Classification) -> tuple[Taxon | None, float]:
        sums: dict[Taxon, float] = {}
        assert row.category_map is not None
        for score, one in zip(row.scores or [], row.category_map.with_taxa(), strict=True):
            taxon = one["taxon"]
            while taxon is not None:
                sums[taxon] = sums.get(taxon, 0.0) + score
                taxon = taxon.parent
        for rank, least in self.config.thresholds.items():
            at_rank = {taxon: score for taxon, score in sums.items() if taxon.rank == rank}
            if at_rank and max(at_rank.values()) >= least:
                return max(at_rank.items(), key=lambda pair: pair[1])
        return None, 0.0

    def _replace(self, row: Classification, taxon: Taxon, score: float) -> None:
        with transaction.atomic():
            Classification.objects.filter(detection=row.detection).update(terminal=False)
            Classification.objects.create(
                detection=row.detection,
                taxon=taxon,
                score=score,
                algorithm=self.algorithm,
                applied_to=row,
            )
            occurrence = row.detection.occurrence
            if occurrence is not None:
                occurrence.save(update_determination=True)


class FollowedConfig(BaseModel):
    source_image_collection_id: int | None = None
    event_ids: list[int] = []
    farthest: float = 50.0


class FollowedTask(BasePostProcessingTask):
    """Links detections of successive captures, and merges their occurrences into the first."""

    key = "followed"
    name = "Followed individuals"
    config_schema = FollowedConfig

    def run(self) -> None:
        events = list(self._events())
        links = merged = 0
        for number, event in enumerate(events, start=1):
            with transaction.atomic():
                frames = [
                    list(capture.detections.order_by("pk"))
                    for capture in event.captures.order_by("timestamp")
                ]
                for frame, following in pairwise(frames):
                    for detection in frame:
                        links += self._link(detection, following)
                for detection in Detection.objects.filter(
                    source_image__event=event, next_detection__isnull=False
                ).order_by("source_image__timestamp"):
                    merged += self._merge(detection)
            self.update_progress(number / len(events))
        self.report_stage_metrics({"events_tracked": len(events), "links_created": links})
        self.report_stage_metrics({"occurrences_merged": merged})

    def _events(self) -> QuerySet[Event]:
        events = Event.objects.filter(pk__in=self.config.event_ids).order_by("pk")
        if self.job is None or self.job.project is None:
            return events
        own = events.filter(project=self.job.project)
        if foreign := sorted(set(events) - set(own), key=lambda event: event.pk):
            self.logger.warning("Events of another project: %s", foreign)
        return own

    def _link(self, detection: Detection, following: list[Detection]) -> int:
        farthest = self.config.farthest
        near = [other for other in following if self._distance(detection, other) < farthest]
        if not near:
            return 0
        detection.next_detection = near[0]
        detection.save()
        return 1

    def _distance(self, one: Detection, other: Detection) -> float:
        boxes = one.get_bbox(), other.get_bbox()
        if boxes[0] is None or boxes[1] is None:
            return float("inf")
        return abs(boxes[0].x1 - boxes[1].x1) + abs(boxes[0].y1 - boxes[1].y1)

    def _merge(self, detection: Detection) -> int:
        detection.refresh_from_db()
        following = detection.next_detection
        keeper = detection.occurrence
        if keeper is None or following is None or following.occurrence_id == keeper.pk:
            return 0
        left = following.occurrence
        following.occurrence = keeper
        following.save()
        if left is not None and not left.detections.exists():
            left.delete()
        keeper.save()
        return 1


SHAPES = (TinyTask, ListedTask, CoarserTask, FollowedTask)
