"""A method that marks each detection, and fails on those that a test chooses."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from ami.jobs.models import Job
from ami.jobs.tests.workers import Broker, assert_sound, played_broker, queued
from ami.main.models import Detection, SourceImageCollection
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.tests.methods import CountingTask, registered


def raise_value_error(told: str) -> None:
    raise ValueError(told)


class SeeingTask(CountingTask):
    """Writes its detections; raises an error for those whose ids are in `odd`."""

    key = "seeing"
    name = "Seeing"
    batch_size = 16
    part_batches = 2
    odd: ClassVar[set[int]] = set()
    fault: ClassVar[Callable[[str], object]] = raise_value_error

    def process(self, batch: Batch) -> None:
        super().process(batch)
        ids = set(batch.detections.values_list("pk", flat=True))
        batch.detections.update(path="seen")
        if odd := ids & self.odd:
            type(self).fault(f"Odd: {min(odd)}.")


@pytest.fixture
def seeing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(SeeingTask, "odd", set())
    with registered(SeeingTask):
        yield


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return played_broker(monkeypatch)


def detections() -> list[int]:
    return list(Detection.objects.order_by("pk").values_list("pk", flat=True))


def unseen() -> list[int]:
    return list(Detection.objects.exclude(path="seen").order_by("pk").values_list("pk", flat=True))


def worked(
    broker: Broker, scope: SourceImageCollection, *, workers: int = 2, **options: Any
) -> Job:
    """A Job after its run; parts of several workers may end in any order."""
    job = queued(SeeingTask, scope, **options)
    broker.work(workers)
    return assert_sound(job)
