"""Methods for tests, and rows on which they run."""

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
    """Only counts detections, in batches of two."""

    key = "counting"
    name = "Counting"
    config_schema: ClassVar[type[ScopedConfig]] = ScopeConfig
    batch_size = 2

    def process(self, batch: Batch) -> None:
        self.count(seen=batch.detections.count())


class PartingTask(CountingTask):
    """Changes two detections, each in a separate batch and part, and skips two."""

    key = "parting"
    name = "Parting"
    batch_size = 1
    part_batches = 1

    def process(self, batch: Batch) -> None:
        super().process(batch)
        batch.detections.update(path=f"{self.job}.jpg")
        self.skip("too odd", rows=1, ids=[1])


def told(task: BasePostProcessingTask) -> dict[str, int]:
    """The counters of a method without a Job, and its skipped rows by reason."""
    skipped = {f"Skipped: {reason}": rows for reason, (rows, _) in task.skipped.items()}
    return {name: count for name, count in task.counts.items() if count} | skipped


@contextmanager
def registered(task_cls: type[BasePostProcessingTask]) -> Iterator[None]:
    """Register a method, and remove it afterwards."""
    register(task_cls)
    try:
        yield
    finally:
        forget(POSTPROCESSING_TASKS, task_cls.key)


def make_scope(*sizes: int, loose: int = 0) -> SourceImageCollection:
    """A capture set with occurrences of the given numbers of detections, and some without."""
    capture = make_capture()
    for size in sizes:
        occurrence = make_occurrence(deployment=capture.deployment)
        for _ in range(size):
            make_detection(source_image=capture, occurrence=occurrence)
    for _ in range(loose):
        make_detection(source_image=capture)
    return make_capture_set([capture])


class MergingTask(BasePostProcessingTask):
    """Makes every kind of change that a method may make: merges each batch into a new occurrence.

    The detections and identifications move to it, and the former occurrences are deleted. The
    terminal classifications are superseded, and one without a taxon is deleted.
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
