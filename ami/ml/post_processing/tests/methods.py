"""A method for tests, and rows for it to run on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from ami.base.tests.factories import make_capture, make_capture_set, make_detection, make_occurrence
from ami.jobs.tests.job_types import forget
from ami.main.models import SourceImageCollection
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
