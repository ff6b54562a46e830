"""Methods for tests, and rows for it to run on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from ami.base.tests.factories import make_capture, make_capture_set, make_detection, make_occurrence
from ami.jobs.tests.job_types import forget
from ami.main.models import (
    Classification,
    Detection,
    Identification,
    Occurrence,
    SourceImageCollection,
)
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS, register
from ami.ml.post_processing.scopes import ScopedConfig


class ScopeConfig(ScopedConfig):
    source_image_collection_id: int | None = None
    occurrence_id: int | None = None


class CountingTask(BasePostProcessingTask):
    """Counts detections and does nothing else; it takes two a batch."""

    key = "counting"
    name = "Counting"
    config_schema: ClassVar[type[ScopedConfig]] = ScopeConfig
    batch_size = 2

    def process(self, batch: Batch) -> None:
        self.count(seen=batch.detections.count())


class PartingTask(CountingTask):
    """Touches two detections, each in a batch, and a part, of its own; skips as many."""

    key = "parting"
    name = "Parting"
    batch_size = 1
    part_batches = 1

    def process(self, batch: Batch) -> None:
        super().process(batch)
        batch.detections.update(path=f"{self.job}.jpg")
        self.skip("too odd", rows=1, ids=[1])


def told(task: BasePostProcessingTask) -> dict[str, int]:
    """What a method without a Job has counted, and skipped by reason."""
    skipped = {f"Skipped: {reason}": rows for reason, (rows, _) in task.skipped.items()}
    return {name: count for name, count in task.counts.items() if count} | skipped


@contextmanager
def registered(task_cls: type[BasePostProcessingTask]) -> Iterator[None]:
    """Register a method, and forget it afterwards."""
    register(task_cls)
    try:
        yield
    finally:
        forget(POSTPROCESSING_TASKS, task_cls.key)


def make_scope(*sizes: int, loose: int = 0) -> SourceImageCollection:
    """A capture set of occurrences with that many detections each, and some without any."""
    capture = make_capture()
    for size in sizes:
        occurrence = make_occurrence(deployment=capture.deployment)
        for _ in range(size):
            make_detection(source_image=capture, occurrence=occurrence)
    for _ in range(loose):
        make_detection(source_image=capture)
    return make_capture_set([capture])


class MergingTask(BasePostProcessingTask):
    """Does to rows all that a method may: merges each batch into a new occurrence.

    Detections move to it, the former occurrences are deleted and their identifications move; the
    classifications that stood are superseded, and one without a taxon is deleted.
    """

    key = "merging"
    name = "Merging"
    config_schema: ClassVar[type[ScopedConfig]] = ScopeConfig
    batch_size = 4

    def process(self, batch: Batch) -> None:
        ids = list(batch.detections.values_list("pk", flat=True))
        former = Occurrence.objects.filter(detections__in=ids).order_by("pk").distinct()
        merged_away = list(former.values_list("pk", flat=True))
        keeper = Occurrence.objects.create(project=former[0].project if merged_away else None)
        Detection.objects.filter(pk__in=ids).update(occurrence=keeper)
        Identification.objects.filter(occurrence__in=merged_away).update(occurrence=keeper)
        Occurrence.objects.filter(pk__in=merged_away).delete()
        self._supersede(ids)
        self.update_determinations([keeper.pk])

    def _supersede(self, detection_ids: list[int]) -> None:
        former = Classification.objects.filter(detection__in=detection_ids)
        former.filter(taxon=None).delete()
        for one in former.filter(terminal=True):
            Classification.objects.filter(pk=one.pk).update(terminal=False)
            Classification.objects.filter(pk=one.pk).update(logits=[1.0, float("nan"), -0.0])
            Classification.objects.create(
                detection_id=one.detection_id,
                taxon_id=one.taxon_id,
                score=one.score,
                algorithm=self.algorithm,
                applied_to=one,
                job=self.job,
                scores=[0.5, 0.5],
            )
