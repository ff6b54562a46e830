"""A dry run announces what the run does, and changes no row but those of its own Job."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import pytest
from django.db import connection

from ami.base.tests.factories import make_capture, make_capture_set, make_deployment
from ami.jobs.journal.revert import refusal
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.reverting import SupersedingTask, make_tracks
from ami.jobs.tests.seeing import broker
from ami.jobs.tests.workers import Broker, assert_sound, fresh, queued, race
from ami.main.models import Detection, Event, Occurrence, SourceImageCollection
from ami.ml.models import Algorithm
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import EVENT, Batch, Unit
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import MergingTask, registered
from ami.testing.foretelling import announced, known_rows, tables

__all__ = ["broker"]
pytestmark = pytest.mark.django_db(transaction=True)


class NightlyTask(SupersedingTask):
    """Supersedes the classifications of whole nights."""

    key = "nightly"
    name = "Nightly"
    unit: ClassVar[Unit] = EVENT


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each method plan several parts of several batches."""
    for task_cls in METHODS:
        monkeypatch.setattr(task_cls, "batch_size", 2)
        monkeypatch.setattr(task_cls, "part_batches", 2)
    with connection.cursor() as cursor:  # as in a database that has seen no Job
        cursor.execute("ALTER SEQUENCE jobs_jobchange_id_seq RESTART")
    with registered(MergingTask), registered(SupersedingTask), registered(NightlyTask):
        yield


METHODS: list[type[BasePostProcessingTask]] = [
    SmallSizeFilterTask,
    MergingTask,
    SupersedingTask,
    NightlyTask,
]


@pytest.fixture
def scope() -> SourceImageCollection:
    """Tracks in separate nights; some boxes are too small, and some are missing."""
    make_tracks()
    captures, deployment = [], make_deployment()
    for number, occurrence in enumerate([*Occurrence.objects.order_by("pk"), None]):
        event = Event.objects.create(group_by=f"2022-06-{10 + number}")
        captures.append(capture := make_capture(event=event, deployment=deployment))
        Detection.objects.filter(occurrence=occurrence).update(source_image=capture)
    ids = list(Detection.objects.order_by("pk").values_list("pk", flat=True))
    Detection.objects.filter(pk__in=ids[::2]).update(bbox=[1, 1, 3, 3])
    Detection.objects.filter(pk=ids[1]).update(bbox=[5, 5, 1, 1])
    return make_capture_set(captures)


def batches_of(job: Job) -> int:
    return job.changes.values("batch").distinct().count()


def run(broker: Broker, task_cls: type[BasePostProcessingTask], *args: Any, **options: Any) -> Job:
    job = queued(task_cls, *args, **options)
    broker.work(2)
    return assert_sound(job)


@pytest.mark.parametrize("task_cls", METHODS, ids=lambda task_cls: task_cls.key)
def test_dry_run_announces_what_the_run_does(
    broker: Broker, scope: SourceImageCollection, task_cls: type[BasePostProcessingTask]
) -> None:
    """It is the first run: neither the algorithm nor the taxon of the filter exists."""
    assert not Algorithm.objects.exists()
    known, before = known_rows(), tables()
    dry = run(broker, task_cls, scope, dry_run=True)
    assert tables() == before
    real = run(broker, task_cls, scope)
    assert tables() != before
    assert announced(dry, known) == announced(real, known)
    assert dry.changes.count() > 0
    assert (dry.progress.figures, dry.outcome) == (real.progress.figures, real.outcome)
    assert batches_of(dry) == batches_of(real) > 1


def bad_row(monkeypatch: pytest.MonkeyPatch, task_cls: type[BasePostProcessingTask]) -> None:
    odd = Detection.objects.order_by("pk")[3].pk
    process = task_cls.process

    def failing(task: BasePostProcessingTask, batch: Batch) -> None:
        is_odd = batch.detections.filter(pk=odd).exists()
        process(task, batch)
        if is_odd:
            raise ValueError("Odd.")

    monkeypatch.setattr(task_cls, "process", failing)


@pytest.mark.parametrize("task_cls", METHODS[:3], ids=lambda task_cls: task_cls.key)
def test_dry_run_with_a_bad_row_announces_the_rest(
    broker: Broker,
    scope: SourceImageCollection,
    task_cls: type[BasePostProcessingTask],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad_row(monkeypatch, task_cls)
    known, before = known_rows(), tables()
    dry = run(broker, task_cls, scope, dry_run=True)
    assert tables() == before
    real = run(broker, task_cls, scope)
    assert dry.outcome == real.outcome == Outcome.PROBLEMS
    assert announced(dry, known) == announced(real, known)
    assert dry.progress.figures == real.progress.figures


@pytest.mark.parametrize("stop", [Job.pause, Job.cancel])
@pytest.mark.parametrize("task_cls", METHODS[:2], ids=lambda task_cls: task_cls.key)
def test_dry_run_that_is_stopped_in_the_middle_changes_nothing(
    broker: Broker,
    scope: SourceImageCollection,
    task_cls: type[BasePostProcessingTask],
    stop: Callable[[Job], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, before = known_rows(), tables()
    process = task_cls.process

    def stopping(task: BasePostProcessingTask, batch: Batch) -> None:
        process(task, batch)
        assert task.job
        if fresh(task.job).status == JobState.STARTED:
            assert race(partial(stop, fresh(task.job)))  # not in the batch's transaction

    with monkeypatch.context() as patch:
        patch.setattr(task_cls, "process", stopping)
        dry = queued(task_cls, scope, dry_run=True)
        broker.work()
    stopped = assert_sound(dry)
    assert stopped.status in {JobState.PAUSED, JobState.REVOKED}
    assert stopped.changes.count() > 0
    assert tables() == before
    assert stopped.resume()
    broker.work(2)
    dry = assert_sound(dry)
    assert tables() == before
    real = run(broker, task_cls, scope)
    assert announced(dry, known) == announced(real, known)
    assert dry.progress.figures == real.progress.figures


def test_dry_run_is_not_reverted(broker: Broker, scope: SourceImageCollection) -> None:
    """Its journal lists changes that were rolled back; a later run may have made the same ones."""
    dry = run(broker, SmallSizeFilterTask, scope, dry_run=True)
    run(broker, SmallSizeFilterTask, scope)
    assert refusal(dry) == f"Job {dry.pk} was a dry run, which wrote nothing."
