"""Many simultaneous Jobs on overlapping scopes have the same results as one after another."""

from collections.abc import Iterator
from threading import Event as Flag
from threading import Thread
from typing import Any, ClassVar

import pytest
from django.db import connection, transaction

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.jobs.engine import admission, runner
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job
from ami.jobs.states import Outcome
from ami.jobs.tests.rows import claim
from ami.jobs.tests.seeing import broker
from ami.jobs.tests.workers import Broker, assert_sound, fresh, handed_out, queued, run_part
from ami.main.models import Classification, Detection, Event, Occurrence, Taxon
from ami.main.tests.test_determination_locks import (
    run_in_thread,
    wait_until_someone_waits_for_a_lock,
)
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import EVENT, Batch, Unit
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import (
    CountingTask,
    MergingTask,
    PartingTask,
    make_scope,
    registered,
)
from config.tests.tally import note

__all__ = ["broker"]
pytestmark = pytest.mark.django_db(transaction=True)


class SharpeningTask(CountingTask):
    """Supersedes each terminal classification with one that has the square of its score."""

    key = "sharpening"
    name = "Sharpening"

    def process(self, batch: Batch) -> None:
        rows = Classification.objects.filter(detection__in=batch.detections, terminal=True)
        for former in rows.select_related("detection", "taxon"):
            Classification.objects.filter(pk=former.pk).update(terminal=False)
            make_classification(
                detection=former.detection,
                taxon=former.taxon,
                applied_to=former,
                job=self.job,
                score=self.sharpened(former.score or 0.0),
            )
        ids = batch.detections.exclude(occurrence=None).values_list("occurrence_id", flat=True)
        self.update_determinations(ids)

    def sharpened(self, score: float) -> float:
        return round(score**2, 9)


class NightlyTask(SharpeningTask):
    """Reduces the scores of whole nights."""

    key = "nightly"
    name = "Nightly"
    unit: ClassVar[Unit] = EVENT

    def sharpened(self, score: float) -> float:
        return round(1 - score, 9)


METHODS: list[type[BasePostProcessingTask]] = [
    SmallSizeFilterTask,
    MergingTask,
    SharpeningTask,
    NightlyTask,
]


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for task_cls in METHODS:
        monkeypatch.setattr(task_cls, "batch_size", 1)
        monkeypatch.setattr(task_cls, "part_batches", 3)
    with registered(MergingTask), registered(SharpeningTask), registered(NightlyTask):
        yield


class World:
    """Occurrences in six nights, and capture sets that share some of these nights."""

    def __init__(self, taxa: list[Taxon]) -> None:
        deployment = make_deployment()
        nights = [Event.objects.create(group_by=f"2022-06-{day}") for day in range(10, 16)]
        captures = [make_capture(deployment=deployment, event=night) for night in nights]
        self.detections: list[int] = []
        for number in range(12):
            occurrence = make_occurrence(deployment=deployment) if number % 4 else None
            for step in range(1 + number % 3):
                detection = make_detection(
                    source_image=captures[(number + step) % 6],
                    occurrence=occurrence,
                    bbox=[1, 1, 2 + 9 * step, 3 + number],
                )
                score = 0.5 + number / 100
                make_classification(detection=detection, taxon=taxa[number % 3], score=score)
                self.detections.append(detection.pk)
        groups = ([0, 1, 2], [2, 3], [3, 4, 5], [5, 0], [0, 1, 2, 3, 4, 5])
        self.sets = [make_capture_set([captures[n] for n in group]) for group in groups]
        self.former = queued(SharpeningTask, self.sets[1])

    def launch(self, number: int) -> Job:
        """The Job with this number, of twenty."""
        if number == 9:
            return request_revert(fresh(self.former))
        capture_set, task_cls = self.sets[number % 5], METHODS[number % 4]
        if task_cls is SmallSizeFilterTask:
            return queued(task_cls, capture_set, size_threshold=(number + 1) / 2e4)
        return queued(task_cls, capture_set, dry_run=number == 6)

    def end(self) -> list[Any]:
        """The values of its rows, without their ids."""
        place = {pk: number for number, pk in enumerate(self.detections)}
        return [
            (
                place[detection.pk],
                sorted(place[pk] for pk in _companions(detection)),
                _determination(detection.occurrence),
                _names(detection),
            )
            for detection in Detection.objects.filter(pk__in=place).order_by("pk")
        ]


def _companions(detection: Detection) -> list[int]:
    rows = Detection.objects.filter(occurrence=detection.occurrence_id)
    return list(rows.values_list("pk", flat=True)) if detection.occurrence_id else []


def _determination(occurrence: Occurrence | None) -> tuple[str, float | None] | None:
    if occurrence is None or occurrence.determination is None:
        return None
    return occurrence.determination.name, occurrence.determination_score


def _names(detection: Detection) -> list[str]:
    fields = ("taxon__name", "algorithm__key", "score", "terminal", "applied_to__taxon__name")
    rows = Classification.objects.filter(detection=detection)
    return sorted(map(repr, rows.values_list(*fields)))


class Watch(Thread):
    """Records Jobs that wait in a circle or for a Job that has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.over = Flag()
        self.circles: list[Any] = []
        self.looks = 0

    def run(self) -> None:
        try:
            while not self.over.wait(0.005):
                waiting = Job.objects.exclude(waits_for=None).values_list("pk", "waits_for")
                self._look(dict(waiting))  # type: ignore[arg-type]
        finally:
            connection.close()

    def _look(self, waits_for: dict[int, int]) -> None:
        self.looks += bool(waits_for)
        for pk in waits_for:
            seen = [pk]
            while (behind := waits_for.get(seen[-1])) and behind not in seen:
                seen.append(behind)
            if behind:
                self.circles.append(seen)


@pytest.mark.parametrize(
    "turn", [0, *(pytest.param(turn, marks=pytest.mark.chaos) for turn in range(1, 25))]
)
def test_twenty_jobs_at_once_end_as_one_after_another(broker: Broker, turn: int) -> None:
    taxa = [make_taxon() for _ in range(3)]
    crowd, row = World(taxa), World(taxa)
    broker.work()
    assert crowd.end() == row.end()

    jobs = [crowd.launch(number) for number in range(20)]
    watch = Watch()
    watch.start()
    broker.work(4)
    note("ran twenty Jobs at once")
    watch.over.set()
    watch.join()
    ended = [assert_sound(job) for job in jobs]
    assert {job.outcome for job in ended} <= {Outcome.SUCCEEDED, Outcome.PROBLEMS}
    assert watch.looks
    assert watch.circles == []
    for job in ended:
        assert not job.logs.filter(message__contains="is retried").exists()

    order = sorted(range(20), key=lambda number: str(ended[number].finished_at))
    for number in order:
        row.launch(number)
        broker.work()
    assert crowd.end() == row.end()


def test_cancel_of_a_waiting_job_wakes_those_behind_it(broker: Broker) -> None:
    first, second = make_scope(1, 1), make_scope(1, 1)
    both = make_capture_set([*first.images.all(), *second.images.all()])
    both.images.set([*first.images.all(), *second.images.all()])
    with registered(PartingTask):
        holder, parts = handed_out(broker, first)
        between, behind, last = (queued(PartingTask, scope) for scope in (both, second, both))
        broker.work()
        waits = Job.objects.order_by("pk").values_list("waits_for", flat=True)
        assert list(waits) == [None, holder.pk, between.pk, holder.pk]
        fresh(between).cancel()
        broker.work(2)
        assert assert_sound(behind).outcome == Outcome.PROBLEMS
        assert assert_sound(last).waits_for == holder
        for part in parts:
            run_part(part)
        broker.work(2)
        assert assert_sound(last).outcome == Outcome.PROBLEMS
    assert assert_sound(between).outcome == Outcome.CANCELED


def test_jobs_on_the_same_loose_detections_wait_for_each_other(broker: Broker) -> None:
    """A detection without an occurrence is a separate unit."""
    scope = make_scope(loose=2)
    with registered(PartingTask):
        holder, held = handed_out(broker, scope)
        second, elsewhere = queued(PartingTask, scope), queued(PartingTask, make_scope(loose=1))
        broker.work()
        assert fresh(second).waits_for == holder
        assert assert_sound(elsewhere).outcome == Outcome.PROBLEMS
        for part in held:
            run_part(part)
        broker.work()
        assert assert_sound(second).outcome == Outcome.PROBLEMS


def test_jobs_are_admitted_one_at_a_time(broker: Broker) -> None:
    """Two Jobs that look for each other at the same moment would not see each other."""
    scope = make_scope(1)
    with registered(PartingTask):
        job = queued(PartingTask, scope)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(admission.LOCK)
            worker = run_in_thread(broker.work)
            wait_until_someone_waits_for_a_lock()
            assert fresh(job).admitted_at is None
        worker.join()
        assert assert_sound(job).outcome == Outcome.PROBLEMS


def test_woken_job_is_not_overtaken(broker: Broker) -> None:
    """Of two Jobs that are woken at once, the later one waits for the earlier one."""
    scope = make_scope(1, 1)
    with registered(PartingTask):
        holder, held = handed_out(broker, scope)
        early, late = queued(PartingTask, scope), queued(PartingTask, scope)
        broker.work()
        assert fresh(late).waits_for == holder
        for part in held:
            run_part(part)
        broker.forget()
        assert claim(early.pk, task_id=fresh(early).task_id)
        runner.run(late.pk, task_id=fresh(late).task_id)
        waiting = fresh(late)
        assert waiting.waits_for == early
        assert waiting.waits == (
            f"Waits for Job {early.pk} (Parting), which may write the same occurrences."
        )
