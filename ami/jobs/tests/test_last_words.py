"""Work that others have done, ended or begun between two steps of a worker."""

from collections.abc import Iterator

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from ami.jobs import transitions
from ami.jobs.engine import parts, runner
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.states import ClaimLostError, PartState
from ami.jobs.summary import progress_of
from ami.jobs.tests.job_types import hand_out, make_job
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.tests.methods import CountingTask, make_scope, registered

pytestmark = pytest.mark.django_db


@pytest.fixture
def job() -> Iterator[Job]:
    """A Job whose two parts are queued."""
    config = {"source_image_collection_id": make_scope(*[2] * 6).pk}
    params = {"task": CountingTask.key, "config": config}
    with registered(CountingTask):
        job = make_job(job_type_key=JOB_TYPE, params=params, task_id="first")
        hand_out(job)
        yield job


def work_off(*queued: JobPart) -> None:
    for part in queued:
        runner.run_part(part.pk, task_id=part.task_id)


def status(job: Job) -> str:
    job.refresh_from_db()
    return job.status


def test_message_of_a_job_whose_parts_are_done_ends_it(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed_before_the_end:
        killed_before_the_end.setattr(transitions, "settle", lambda job: None)
        work_off(*job.parts.all())
    assert status(job) == JobState.STARTED
    runner.run(job.pk, task_id="first")
    assert status(job) == JobState.SUCCESS


def test_progress_that_comes_late_leaves_the_end_as_it_is(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_off(*job.parts.all()[:1])
    slow = Job.objects.get(pk=job.pk)

    def end_meanwhile(former: Job) -> object:
        monkeypatch.undo()
        stale = progress_of(former)
        work_off(*job.parts.exclude(state=PartState.DONE))
        return stale

    monkeypatch.setattr("ami.jobs.models.job.progress_of", end_meanwhile)
    slow.refresh_progress()
    assert status(job) == JobState.SUCCESS
    (stage,) = job.progress.stages
    assert (stage.status, stage.progress) == (JobState.SUCCESS, 1.0)


def test_time_limit_right_after_the_last_commit_still_ends_the_job(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = job.parts.order_by("number")
    work_off(first)

    def commit_and_stop(part: JobPart, *args: object) -> None:
        JobPart.objects.filter(pk=part.pk).update(state=PartState.DONE, claim_token=None)
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(parts, "do_batch", commit_and_stop)
    work_off(last)
    assert status(job) == JobState.SUCCESS


def test_time_limit_right_after_a_commit_hands_the_part_back(
    job: Job, monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, list[int]]]
) -> None:
    part = job.parts.all()[0]

    def commit_and_stop(part: JobPart, *args: object) -> None:
        JobPart.objects.filter(pk=part.pk).update(cursor=1)
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(parts, "do_batch", commit_and_stop)
    work_off(part)
    part.refresh_from_db()
    assert (part.state, part.cursor) == (PartState.QUEUED, 1)
    assert published == [(part.task_id, [part.pk])]


def test_failure_of_a_part_and_of_its_job_are_one(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ConnectionError("killed")

    part = job.parts.all()[0]
    with monkeypatch.context() as killed:
        killed.setattr(runner, "JOB_TYPES", {})
        killed.setattr(transitions, "_end", fail)
        with pytest.raises(ConnectionError):
            work_off(part)
    part.refresh_from_db()
    assert part.state == PartState.RUNNING


def test_cursor_moves_only_from_where_the_worker_knows_it(job: Job) -> None:
    part = job.parts.all()[0]
    mine = JobPart.claim(part.pk, task_id=part.task_id)
    assert mine
    JobPart.objects.filter(pk=part.pk).update(cursor=1)
    with pytest.raises(ClaimLostError):
        mine.save_as_holder(cursor=1)
