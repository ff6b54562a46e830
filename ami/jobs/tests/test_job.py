from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import DjangoCaptureOnCommitCallbacks

from ami.base.tests.snapshots import snapshot
from ami.jobs import transitions
from ami.jobs.engine import runner
from ami.jobs.engine.parts import run_here
from ami.jobs.models import Job, JobChange, JobDispatchMode, JobPart, JobState
from ami.jobs.progress import JobProgress
from ami.jobs.service import create_jobs
from ami.jobs.states import (
    FINAL,
    RUNNING,
    WAITING,
    ClaimLostError,
    JobCanceledError,
    Outcome,
    PartState,
)
from ami.jobs.tests.job_types import Idle, make_job
from ami.jobs.tests.rows import claim, make_part, running_job

pytestmark = pytest.mark.django_db
Messages = list[tuple[str, list[Any]]]


def test_job_is_internal_unless_the_platform_says_otherwise() -> None:
    assert make_job().dispatch_mode == JobDispatchMode.INTERNAL
    assert make_job(dispatch_mode="async_api").dispatch_mode == JobDispatchMode.ASYNC_API
    assert JobDispatchMode.values == ["internal", "sync_api", "async_api"]


def test_created_job_is_queued_and_published_on_commit(
    published: Messages, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    job = make_job(status=JobState.CREATED)
    with django_capture_on_commit_callbacks(execute=True):
        assert job.enqueue()
        assert not published
    job.refresh_from_db()
    assert job.status == JobState.PENDING
    assert published == [(job.task_id, [job.pk])]


@pytest.mark.parametrize("status", sorted(set(JobState) - {JobState.CREATED}))
def test_only_a_created_job_is_enqueued(status: JobState) -> None:
    job = make_job(status=status)
    assert not job.enqueue()
    job.refresh_from_db()
    assert job.status == status


def test_jobs_are_created_all_or_none_and_published_on_commit(
    published: Messages, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        jobs = create_jobs([Job(name="One"), Job(name="Two")])
        assert not published
    assert published == [(job.task_id, [job.pk]) for job in jobs]
    assert {job.status for job in jobs} == {JobState.PENDING}
    assert jobs[0].task_id != jobs[1].task_id


def test_broker_that_is_down_leaves_the_job_queued_with_the_reason(
    broker_down: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        (job,) = create_jobs([Job(name="One")])
    job.refresh_from_db()
    assert job.status == JobState.PENDING
    assert job.unsent.startswith("The broker did not take the Job's message: ")
    assert "will be sent when the broker is back" in job.unsent
    assert job.cancel()
    assert (job.error, job.unsent) == ("", "")


@pytest.mark.parametrize("status", sorted(FINAL))
def test_what_an_ended_job_tells_is_not_written_again(status: JobState) -> None:
    """Only failed and canceled parts are resumed."""
    now = timezone.now()
    job = make_job(status=status, outcome="problems", started_at=now, finished_at=now, error="Why.")
    JobPart.objects.create(job=job, number=1, state=PartState.DONE, rows_total=9, rows_done=9)
    job.progress.add_or_update_stage_param(job.progress.add_stage("Stage"), "Rows done", 9)
    job.save()
    before = snapshot(Job, JobPart, JobChange)
    for ask in (
        job.resume,
        job.cancel,
        job.pause,
        job.enqueue,
        lambda: transitions.end(job, Outcome.FAILED),
    ):
        assert not ask()
    assert not transitions.end(job, Outcome.CRASHED)
    transitions.settle(job)
    job.refresh_progress()
    transitions.wake(job, job)
    with pytest.raises(ClaimLostError):
        job.checkpoint()
    with pytest.raises(ClaimLostError):
        run_here(job, Idle(job))
    runner.run(job.pk, task_id=job.task_id)
    assert snapshot(Job, JobPart, JobChange) == before


@pytest.mark.parametrize("status", sorted(JobState))
def test_cancel_in_each_state(status: JobState) -> None:
    job = make_job(status=status)
    expected = {
        **dict.fromkeys(WAITING, (True, JobState.REVOKED)),
        **dict.fromkeys(RUNNING, (True, JobState.CANCELING)),
    }.get(status, (False, status))
    assert (job.cancel(), job.status) == expected
    job.refresh_from_db()
    assert job.status == expected[1]
    assert (job.finished_at is not None) == (status in WAITING)


def test_cancel_goes_by_the_row_and_not_by_a_stale_instance() -> None:
    job = make_job()
    stale = Job.objects.get(pk=job.pk)
    assert claim(job.pk)
    assert stale.cancel()
    job.refresh_from_db()
    assert job.status == JobState.CANCELING


def test_duration_runs_from_start_to_end() -> None:
    start = timezone.now()
    assert make_job().duration is None
    assert Job(started_at=start, finished_at=start + timedelta(hours=1)).duration == timedelta(
        hours=1
    )


def test_checkpoint_stores_progress_and_heartbeat() -> None:
    job = claim(make_job().pk)
    assert job
    job.parts.update(heartbeat_at=None)
    job.progress.add_stage("Stage").progress = 0.5
    job.checkpoint()
    stored = Job.objects.get(pk=job.pk)
    assert stored.progress.fraction == 0.5
    assert stored.parts.get().heartbeat_at


def test_worker_whose_claim_is_gone_writes_nothing() -> None:
    zombie = claim(make_job().pk)
    assert zombie
    assert claim(zombie.pk, task_id=zombie.task_id)
    zombie.progress.add_stage("Zombie")
    with pytest.raises(ClaimLostError, match=f"Job {zombie.pk} is held by another worker"):
        zombie.checkpoint()
    assert zombie.held
    with pytest.raises(ClaimLostError):
        transitions.finish(zombie.held, Outcome.SUCCEEDED)
    stored = Job.objects.get(pk=zombie.pk)
    assert (stored.status, stored.progress) == (JobState.STARTED, JobProgress())


@pytest.mark.parametrize("status", sorted(FINAL))
def test_worker_of_a_job_that_was_ended_over_its_head_writes_nothing(status: JobState) -> None:
    zombie = claim(make_job().pk)
    assert zombie
    Job.objects.filter(pk=zombie.pk).update(status=status)
    with pytest.raises(ClaimLostError):
        zombie.checkpoint()
    assert not transitions.end(zombie, Outcome.SUCCEEDED)


def test_job_that_nobody_claimed_can_be_worked_on_by_hand() -> None:
    job = make_job(status=JobState.CREATED)
    job.progress.add_stage("Stage").progress = 0.5
    job.checkpoint()
    assert Job.objects.get(pk=job.pk).progress.fraction == 0.5
    assert claim(job.pk)
    with pytest.raises(ClaimLostError):
        job.checkpoint()


def test_running_worker_is_told_of_a_cancel() -> None:
    job = claim(make_job().pk)
    assert job
    job.raise_if_canceled()
    assert Job.objects.get(pk=job.pk).cancel()
    with pytest.raises(JobCanceledError):
        job.raise_if_canceled()
    job.checkpoint()
    assert transitions.end(job, Outcome.CANCELED)


def test_every_stage_ends_as_the_job_does() -> None:
    job = claim(make_job().pk)
    assert job
    job.progress.add_stage("Stage").progress = 0.5
    assert transitions.end(job, Outcome.FAILED, error="Why\x00 not.")
    stored = Job.objects.get(pk=job.pk)
    stage = stored.progress.get_stage("stage")
    assert (stage.status, stage.progress) == (JobState.FAILURE, 0.5)
    assert stored.error == "Why not."
    assert stored.finished_at


@pytest.mark.parametrize("status", [JobState.STARTED, JobState.CANCELING])
def test_cancel_ends_a_run_whose_worker_is_silent(status: JobState) -> None:
    silent = timezone.now() - timedelta(minutes=Job.STALLED_JOBS_MAX_MINUTES + 1)
    zombie = claim(make_job().pk)
    assert zombie
    zombie.parts.update(heartbeat_at=silent)
    job = Job.objects.get(pk=zombie.pk)
    transitions._move(job, status=status)
    assert (job.cancel(), job.status) == (True, JobState.REVOKED)
    with pytest.raises(ClaimLostError):
        zombie.checkpoint()


def test_end_takes_the_claims_of_workers_that_still_have_a_part() -> None:
    job = running_job()
    part = make_part(job, PartState.RUNNING, claim_token=uuid4())
    assert transitions.end(job, Outcome.FAILED, error="Out of memory.")
    with pytest.raises(ClaimLostError):
        part.save_as_holder(rows_done=1)
    part.refresh_from_db()
    assert (part.state, part.claim_token) == (PartState.QUEUED, None)


@pytest.mark.parametrize("status", [JobState.REVOKED, JobState.FAILURE])
def test_job_whose_revert_has_begun_is_not_resumed(status: JobState) -> None:
    job = make_job(status=status)
    make_part(job, PartState.QUEUED)
    assert job.can_resume
    make_job(reverts=job)
    assert (job.can_resume, job.resume()) == (False, False)
    job.refresh_from_db()
    assert job.status == status


@pytest.mark.parametrize("stored", ["null", "7", '{"stages": [{"progress": 7}]}'])
def test_progress_that_cannot_be_read_does_not_hide_the_job(stored: str) -> None:
    job = make_job()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET progress = %s WHERE id = %s", [stored, job.pk])
    assert Job.objects.get(pk=job.pk).progress == JobProgress()
