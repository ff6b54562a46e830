"""Work that is one call: its separate task, repeated messages, and its time limit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import cycle
from threading import Event
from typing import Any

import pytest
from celery.exceptions import Retry, SoftTimeLimitExceeded
from celery.signals import after_task_publish
from django.conf import settings
from django.utils import timezone

from ami.base.tests.snapshots import snapshot
from ami.jobs import tasks
from ami.jobs.engine import heart, parts, runner
from ami.jobs.engine.work import Planned
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.states import Outcome, StillRunsError
from ami.jobs.tests.job_types import Idle, job_type, work_type
from ami.jobs.tests.rows import held_part, queued_job, silence
from ami.jobs.tests.workers import fresh
from ami.jobs.transitions import carrier
from config.tests.processes import wait_until

Messages = list[tuple[str, list[Any]]]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_broker")]


@contextmanager
def whole(run: Callable[[Job], None]) -> Iterator[list[int]]:
    """Work that records its start."""
    begun: list[int] = []

    def work(job: Job) -> None:
        assert job.held
        begun.append(job.held.attempts)
        run(job)

    with job_type(work):
        yield begun


def nothing(job: Job) -> None:
    pass


def test_it_goes_to_a_task_with_limits_of_its_own(published: Messages) -> None:
    job = queued_job()
    with whole(nothing) as begun:
        runner.run(job.pk, task_id=job.task_id, hand_over=True)
        handed, part = fresh(job), job.parts.get()
        assert (handed.status, part.attempts, begun) == (JobState.PENDING, 0, [])
        assert handed.task_id == part.task_id != job.task_id
        assert published == [(handed.task_id, [part.pk])]

        runner.run(job.pk, task_id=job.task_id, hand_over=True)  # the first message, once more
        assert (fresh(job).task_id, len(published)) == (handed.task_id, 1)

        runner.run_part(part.pk, task_id=handed.task_id, only_silent=True)
    assert (fresh(job).status, begun) == (JobState.SUCCESS, [1])


class Long(Idle):
    """Planned work of three batches that takes long."""

    takes_long = True

    def plan(self) -> Sequence[Planned]:
        return [Planned(1, number) for number in range(3)]


def test_planned_work_that_takes_long_stays_there_until_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []

    def note(headers: dict[str, Any], **kwargs: Any) -> None:
        sent.append(headers["task"])

    after_task_publish.connect(note)  # until the test ends: the signal holds it weakly
    clock = cycle((0, parts.PART_SECONDS))  # each message has time for one batch
    monkeypatch.setattr(JobPart, "seconds_since_claim", property(lambda part: next(clock)))
    job = queued_job()
    with work_type(Long):
        runner.run(job.pk, task_id=job.task_id, hand_over=True)
        for done in range(3):
            part = job.parts.get()
            assert (part.cursor, sent) == (done, ["ami.jobs.tasks.run_whole"] * (done + 1))
            runner.run_part(part.pk, task_id=part.task_id, only_silent=True)
    assert fresh(job).status == JobState.SUCCESS
    assert len(sent) == 3


def test_limits_of_that_task_are_those_of_the_settings() -> None:
    assert tasks.run_whole.soft_time_limit == settings.OWN_RUN_TIME_LIMIT == 12 * 60 * 60
    assert tasks.run_whole.time_limit > tasks.run_whole.soft_time_limit


def test_task_that_is_called_as_a_function_runs_it_here() -> None:
    job = queued_job()
    with whole(nothing) as begun:
        tasks.run_job(job.pk)
    assert (fresh(job).status, begun) == (JobState.SUCCESS, [1])


@pytest.mark.parametrize("status", [JobState.STARTED, JobState.CANCELING])
def test_message_that_comes_again_while_it_runs_changes_nothing_and_is_not_lost(
    status: JobState,
) -> None:
    part = held_part(status=status)
    before = snapshot(Job, JobPart)
    with whole(nothing) as begun:
        with pytest.raises(StillRunsError):
            runner.run_part(part.pk, task_id=part.task_id, only_silent=True)
        tasks.run_whole.push_request(id=part.task_id, args=[part.pk], called_directly=False)
        try:
            with pytest.raises(Retry) as again:
                tasks.run_whole.run(part.pk)
        finally:
            tasks.run_whole.pop_request()
    assert again.value.when == tasks.AGAIN_SECONDS
    assert (snapshot(Job, JobPart), begun) == (before, [])


def test_silent_run_is_begun_anew_and_says_so() -> None:
    part = held_part()
    silence(part)
    with whole(nothing) as begun:
        runner.run_part(part.pk, task_id=part.task_id, only_silent=True)
    assert (fresh(part.job).status, begun) == (JobState.SUCCESS, [2])
    assert part.job.logs.get(level="WARNING").message == (
        "Its worker was lost; the run starts again, attempt 2."
    )


def test_run_that_was_canceled_and_has_lost_its_worker_ends() -> None:
    part = held_part(status=JobState.CANCELING)
    silence(part)
    runner.run_part(part.pk, task_id=part.task_id, only_silent=True)
    assert fresh(part.job).status == JobState.REVOKED


def test_message_of_a_run_that_has_ended_is_dropped() -> None:
    job = queued_job(status=JobState.SUCCESS)
    part = carrier(job)
    runner.run_part(part.pk, task_id=part.task_id, only_silent=True)
    assert fresh(job).status == JobState.SUCCESS


def test_time_limit_fails_the_run_with_what_it_is() -> None:
    def strike(job: Job) -> None:
        raise SoftTimeLimitExceeded

    job = queued_job()
    with whole(strike):
        runner.run(job.pk, task_id=job.task_id)
    job = fresh(job)
    assert (job.status, job.outcome) == (JobState.FAILURE, Outcome.FAILED)
    assert job.error.startswith("Stage reached the time limit of 12 hours (OWN_RUN_TIME_LIMIT).")


@pytest.mark.django_db(transaction=True)
def test_heart_beats_and_writes_the_log_while_the_method_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heart, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr("ami.jobs.logging.BULK_SECONDS", 1_000)
    long_ago = timezone.now() - timedelta(hours=1)

    def say_nothing(job: Job) -> None:
        job.logger.rows._written = float("inf")
        job.logger.info("Begun.")
        job.parts.update(heartbeat_at=long_ago)
        wait_until(job.parts.filter(heartbeat_at__gt=long_ago).exists)
        wait_until(job.logs.filter(message="Begun.").exists)

    job = queued_job()
    with whole(say_nothing):
        runner.run(job.pk, task_id=job.task_id)
    assert fresh(job).status == JobState.SUCCESS


@pytest.mark.django_db(transaction=True)
def test_heart_stops_where_the_claim_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heart, "BEAT_SECONDS", 0.01)
    over = Event()
    part = held_part()
    JobPart.objects.update(claim_token=None)
    heart._beat(part, over)  # it returns
    assert not over.is_set()
