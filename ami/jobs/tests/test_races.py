"""Simultaneous events: in any order, a Job ends once, or continues."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection

from ami.jobs import transitions
from ami.jobs.engine import parts, runner
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.service import AlreadyLaunchedError
from ami.jobs.states import Outcome, PartState
from ami.jobs.tests.job_types import Killed
from ami.jobs.tests.rows import claim
from ami.jobs.tests.seeing import broker
from ami.jobs.tests.workers import Broker, assert_sound, fresh, handed_out, queued, race, run_part
from ami.main.models import SourceImageCollection
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.tests.methods import PartingTask, make_scope, registered

__all__ = ["broker"]
pytestmark = pytest.mark.django_db(transaction=True)


class LongTask(PartingTask):
    """A Job of two parts with several batches each."""

    key = "long"
    name = "Long"
    part_batches = 3


@pytest.fixture(autouse=True)
def methods() -> Iterator[None]:
    with registered(PartingTask), registered(LongTask):
        yield


@pytest.fixture(params=[10, pytest.param(100, marks=pytest.mark.chaos)])
def times(request: pytest.FixtureRequest) -> int:
    """The number of times that a race is run."""
    return int(request.param)


@pytest.fixture
def scope() -> SourceImageCollection:
    return make_scope(1, 1)


def pause_and_resume(job: Job) -> None:
    if job.pause():
        job.resume()


def test_two_finishers_end_a_job_once(
    broker: Broker, scope: SourceImageCollection, times: int
) -> None:
    for _ in range(times):
        job, (first, second) = handed_out(broker, scope)
        waiting = queued(PartingTask, scope)
        broker.work()
        assert fresh(waiting).waits_for == job
        race(partial(run_part, first), partial(run_part, second))
        assert assert_sound(job).outcome == Outcome.PROBLEMS
        (line,) = job.logs.filter(level="WARNING")
        assert line.message == "Skipped 2: too odd. Ids: 1, 1."
        broker.work(2)
        assert assert_sound(waiting).outcome == Outcome.PROBLEMS
        assert broker.sent.count(("run_job", waiting.pk)) == 2


def test_cancel_against_success(broker: Broker, scope: SourceImageCollection, times: int) -> None:
    for _ in range(times):
        job, (first, second) = handed_out(broker, scope)
        run_part(first)
        race(partial(run_part, second), fresh(job).cancel)
        ended = assert_sound(job)
        done = sum(job.parts.values_list("rows_done", flat=True))
        assert (ended.outcome, done) in {(Outcome.PROBLEMS, 2), (Outcome.CANCELED, 1)}
        assert ended.progress.get_stage("parting").progress == done / 2
        assert ended.progress.skipped == done


def test_pause_against_the_end_of_a_part(
    broker: Broker, scope: SourceImageCollection, times: int
) -> None:
    for _ in range(times):
        job, (first, second) = handed_out(broker, scope)
        race(partial(run_part, first), fresh(job).pause)
        run_part(second)
        paused = assert_sound(job)
        if paused.status == JobState.PAUSED:
            assert paused.resume()
            broker.work(2)
        assert assert_sound(job).outcome == Outcome.PROBLEMS


def test_resume_against_pause(broker: Broker, times: int) -> None:
    scope = make_scope(*[1] * 6)
    for _ in range(times):
        job = queued(LongTask, scope)
        broker.forget()
        runner.run(job.pk, task_id=job.task_id)
        race(partial(broker.work, 2), partial(pause_and_resume, fresh(job)))
        broker.work(2)
        ended = assert_sound(job)
        assert ended.outcome == Outcome.PROBLEMS
        assert ended.progress.skipped == 6


def test_cancel_against_claim(broker: Broker, scope: SourceImageCollection, times: int) -> None:
    for _ in range(times):
        job = queued(PartingTask, scope)
        broker.forget()
        claim = partial(runner.run, job.pk, task_id=job.task_id)
        assert race(claim, fresh(job).cancel)[1]
        broker.work(2)
        assert assert_sound(job).outcome == Outcome.CANCELED


def test_cancel_against_a_claim_that_has_to_wait(
    broker: Broker, scope: SourceImageCollection, times: int
) -> None:
    holder, held = handed_out(broker, scope)
    for _ in range(times):
        job = queued(PartingTask, scope)
        broker.forget()
        claim = partial(runner.run, job.pk, task_id=job.task_id)
        assert race(claim, fresh(job).cancel)[1]
        assert assert_sound(job).outcome == Outcome.CANCELED
    race(*(partial(run_part, part) for part in held))
    assert assert_sound(holder).outcome == Outcome.PROBLEMS


def test_wait_against_the_end_of_whom_it_waits_for(
    broker: Broker, scope: SourceImageCollection, times: int
) -> None:
    for _ in range(times):
        holder, (first, second) = handed_out(broker, scope)
        run_part(first)
        job = queued(PartingTask, scope)
        broker.forget()
        race(partial(runner.run, job.pk, task_id=job.task_id), partial(run_part, second))
        broker.work(2)
        assert assert_sound(holder).outcome == Outcome.PROBLEMS
        assert assert_sound(job).outcome == Outcome.PROBLEMS


def test_resume_against_cancel(broker: Broker, scope: SourceImageCollection, times: int) -> None:
    for _ in range(times):
        job = queued(PartingTask, scope)
        assert job.cancel()
        resumed, _ = race(fresh(job).resume, fresh(job).cancel)
        assert resumed
        broker.work(2)
        assert assert_sound(job).is_final


def test_double_launch_makes_one_set_of_jobs(
    broker: Broker, scope: SourceImageCollection, times: int
) -> None:
    row = LaunchRow("Twice", scope.project, {"source_image_collection_id": scope.pk})

    def click(key: str) -> list[int]:
        try:
            return [job.pk for job in launch(PartingTask, [row, row], launch_key=key)]
        except AlreadyLaunchedError as former:
            return former.job_ids

    for number in range(times):
        first, second = race(*[partial(click, f"form-{number}")] * 2)
        assert sorted(first) == sorted(second)
        assert Job.objects.filter(launch_key__startswith=f"form-{number}/").count() == 2


def test_resume_while_a_worker_lets_go_leaves_no_part_behind(
    broker: Broker, scope: SourceImageCollection
) -> None:
    """The worker has noticed the pause, and queues its part only after the resume."""
    job, (first, _) = handed_out(broker, scope)
    let_go = parts.let_go

    def resume_first(part: JobPart) -> None:
        patch.undo()
        assert fresh(job).resume()
        broker.work()
        let_go(part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "let_go", resume_first)
        patch.setattr(parts, "prepare", lambda *args: fresh(job).pause())
        run_part(first)
    broker.work()
    assert assert_sound(job).outcome == Outcome.PROBLEMS


def test_progress_is_not_stored_after_the_end(broker: Broker, scope: SourceImageCollection) -> None:
    job, (first, second) = handed_out(broker, scope)
    late = fresh(job)
    late_refresh = late.refresh_from_db

    def end_first(**kwargs: Any) -> None:
        late_refresh(**kwargs)
        run_part(first)
        run_part(second)

    late.refresh_from_db = end_first  # type: ignore[method-assign, assignment]
    late.refresh_progress()
    assert assert_sound(job).progress.get_stage("parting").progress == 1.0


def test_cancel_from_a_page_that_was_opened_before_the_start_keeps_the_progress(
    broker: Broker, scope: SourceImageCollection
) -> None:
    job = queued(PartingTask, scope)
    page = fresh(job)
    broker.forget()
    runner.run(job.pk, task_id=job.task_id)
    broker.forget()
    run_part(job.parts.order_by("number")[0])
    assert page.cancel()
    canceled = assert_sound(job)
    assert (canceled.outcome, canceled.progress.skipped) == (Outcome.CANCELED, 1)


def test_cancel_of_a_claimed_job_that_has_to_wait(
    broker: Broker, scope: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_out(broker, scope)
    job = queued(PartingTask, scope)
    broker.forget()
    monkeypatch.setattr(parts, "open_stage", lambda *args: fresh(job).cancel())
    runner.run(job.pk, task_id=job.task_id)
    assert assert_sound(job).outcome == Outcome.CANCELED


def test_cancel_finds_a_job_that_is_put_back_to_wait_meanwhile(
    broker: Broker, scope: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is running when the cancellation looks for waiting parts, and waits at the second look."""
    holder, _ = handed_out(broker, scope)
    job = queued(PartingTask, scope)
    broker.forget()
    assert claim(job.pk, task_id=job.task_id)
    end = transitions._end

    def put_back(*args: Any, **kwargs: Any) -> bool:
        ended = end(*args, **kwargs)
        race(lambda: put_back_now(job, holder))
        return ended

    monkeypatch.setattr(transitions, "_end", put_back)
    assert fresh(job).cancel()
    monkeypatch.setattr(transitions, "_end", end)
    runner.run(job.pk, task_id=job.task_id)
    assert assert_sound(job).outcome == Outcome.CANCELED


def put_back_now(job: Job, holder: Job) -> None:
    """Do as the admission does, unless another session changes the Job."""
    with connection.cursor() as cursor, suppress(OperationalError):
        cursor.execute("SET lock_timeout = '20ms'")
        Job.objects.filter(pk=job.pk, status=JobState.STARTED).update(
            status=JobState.PENDING, waits_for=holder
        )


def test_cancel_of_a_job_whose_worker_was_lost_before_it_had_parts(
    broker: Broker, scope: SourceImageCollection
) -> None:
    job = queued(PartingTask, scope)
    assert claim(job.pk, task_id=job.task_id)
    fresh(job).cancel()
    broker.work()
    assert assert_sound(job).outcome == Outcome.CANCELED


def test_failed_part_and_its_job_end_together(
    broker: Broker, scope: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two steps would leave a Job that never ends."""
    job, (first, _) = handed_out(broker, scope)

    def killed(*args: Any, **kwargs: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(parts, "prepare", lambda *args: 1 / 0)
        patch.setattr(transitions, "_end", killed)
        with pytest.raises(Killed):
            run_part(first)
    first.refresh_from_db()
    assert first.state == PartState.RUNNING
    run_part(first)
    broker.work()
    run_part(job.parts.order_by("number")[1])
    assert assert_sound(job).outcome == Outcome.PROBLEMS
