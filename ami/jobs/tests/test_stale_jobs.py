"""The work of silent workers is reassigned, and Jobs that they should cancel are ended."""

from typing import Any
from uuid import uuid4

import pytest

from ami.base.tests.snapshots import snapshot
from ami.jobs import transitions
from ami.jobs.engine import runner
from ami.jobs.models import Job, JobLog, JobPart, JobState
from ami.jobs.states import Outcome, PartState
from ami.jobs.tasks import check_stale_jobs
from ami.jobs.tests.job_types import Idle, job_type, make_job, work_type
from ami.jobs.tests.queues import purge, take_message, waiting
from ami.jobs.tests.rows import make_part, queued_job, running_job, silence
from ami.jobs.watch import health, stale

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_broker")]
Messages = list[tuple[str, list[Any]]]


def test_part_of_a_silent_worker_is_handed_on(published: Messages) -> None:
    job = running_job()
    silent, heard = (make_part(job, PartState.RUNNING, claim_token=uuid4()) for _ in range(2))
    heard.save_as_holder()
    silence(silent)
    before = snapshot(Job, JobPart, JobLog)
    expected = {
        "job": job.pk,
        "part": None,
        "reason": f"There was no heartbeat of {silent} for {Job.STALLED_JOBS_MAX_MINUTES} minutes.",
        "action": "updated",
        "previous_status": JobState.STARTED,
        "status": JobState.STARTED,
        "error": "",
    }
    (told,) = check_stale_jobs(dry_run=True)
    assert told == {**expected, "fixed": False}
    assert snapshot(Job, JobPart, JobLog) == before
    assert not published

    (told,) = check_stale_jobs()
    assert told == {**expected, "fixed": True}
    assert published == [(silent.task_id, [silent.pk])]
    assert check_stale_jobs() == []
    assert JobPart.claim(silent.pk, task_id=silent.task_id)


def test_message_that_waits_is_not_sent_twice(published: Messages) -> None:
    silent = make_part(running_job(), PartState.RUNNING)
    silent.publish()
    silence(silent)
    assert check_stale_jobs() == []
    assert len(published) == 1


def test_only_part_is_left_to_the_message_of_its_job(published: Messages) -> None:
    job = running_job()
    silent = make_part(job, PartState.RUNNING)
    JobPart.first(job).publish()
    silence(silent)
    assert check_stale_jobs() == []
    assert len(published) == 1


def test_message_that_a_dead_worker_holds_is_sent_again(published: Messages) -> None:
    silent = make_part(running_job(), PartState.RUNNING)
    silent.publish()
    assert take_message()
    silence(silent)
    assert health.stale_jobs() == {"checked": 1, "fixed": 1, "unfixable": 0}
    assert len(published) == 2


def test_of_two_checks_that_see_a_silent_part_one_sends_its_message(published: Messages) -> None:
    silent = make_part(running_job(), PartState.RUNNING)
    silence(silent)
    seen_by_another = JobPart.objects.select_related("job").get(pk=silent.pk)

    assert len(check_stale_jobs()) == 1
    assert not stale._take(seen_by_another)
    assert len(published) == 1


def test_part_that_loses_its_fourth_worker_fails_the_job() -> None:
    job = running_job()
    part = make_part(job, PartState.RUNNING, batches=[[1, 1]], attempts=0)
    with work_type(Idle):
        for _ in range(3):
            assert JobPart.claim(part.pk, task_id=part.task_id)
            purge()
            silence(part)
            assert health.stale_jobs()["fixed"] == 1
        runner.run_part(part.pk, task_id=part.task_id)
    job.refresh_from_db()
    assert job.status == JobState.FAILURE
    assert "was started 3 times" in job.error


def test_silent_job_without_parts_runs_anew() -> None:
    job = running_job()
    silence(job)
    before = snapshot(Job, JobPart)
    assert [told["action"] for told in check_stale_jobs(dry_run=True)] == ["updated"]
    assert snapshot(Job, JobPart) == before
    assert [told["action"] for told in check_stale_jobs()] == ["updated"]
    assert waiting(job) == 1
    with job_type(lambda job: None):
        runner.run(job.pk, task_id=job.task_id)
    job.refresh_from_db()
    assert job.status == JobState.SUCCESS


def test_job_whose_worker_died_before_it_told_the_end_has_ended() -> None:
    job = running_job()
    make_part(job, PartState.DONE)
    silence(job)
    (told,) = check_stale_jobs()
    assert (told["action"], told["status"], told["fixed"]) == ("updated", JobState.SUCCESS, True)


def test_canceled_job_whose_workers_are_gone_ends() -> None:
    job = running_job(status=JobState.CANCELING)
    part = make_part(job, PartState.RUNNING)
    silence(job, part)
    (told,) = check_stale_jobs()
    assert (told["action"], told["status"], told["fixed"]) == ("revoked", JobState.REVOKED, True)


@pytest.mark.parametrize("status", sorted(set(JobState) - {JobState.STARTED, JobState.CANCELING}))
def test_job_that_does_not_run_is_not_stale(status: JobState) -> None:
    job = queued_job(status=status)
    silence(job, make_part(job, PartState.RUNNING))
    assert check_stale_jobs() == []


def test_job_with_parts_in_the_queue_is_not_stale() -> None:
    job = running_job()
    make_part(job, PartState.QUEUED)
    silence(job)
    assert check_stale_jobs() == []


def test_error_at_one_job_leaves_the_others_to_be_looked_after(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [running_job(status=JobState.CANCELING) for _ in range(3)]
    silence(*jobs)
    end = transitions.end

    def fail_at_the_first(job: Job, outcome: Outcome) -> bool:
        if job.pk == jobs[0].pk:
            raise RuntimeError("It cannot be canceled.")
        return end(job, outcome)

    monkeypatch.setattr(transitions, "end", fail_at_the_first)
    assert health.stale_jobs() == {"checked": 3, "fixed": 2, "unfixable": 1}
    statuses = [Job.objects.get(pk=job.pk).status for job in jobs]
    assert statuses == [JobState.CANCELING, JobState.REVOKED, JobState.REVOKED]
    assert f"The check of Job {jobs[0].pk} failed." in caplog.text
    assert "It cannot be canceled." in caplog.text


def test_job_without_parts_that_cannot_be_sent_leaves_the_others_to_be_sent(
    monkeypatch: pytest.MonkeyPatch, published: Messages
) -> None:
    queued, silent = [make_job() for _ in range(3)], [running_job() for _ in range(3)]
    silence(*silent)
    broken = {queued[0].pk, silent[0].pk}
    carrier = transitions.carrier

    def fail_at_the_first(job: Job) -> JobPart:
        if job.pk in broken:
            raise RuntimeError("It has no part.")
        return carrier(job)

    monkeypatch.setattr(transitions, "carrier", fail_at_the_first)
    assert health.lost_enqueues() == {"checked": 3, "fixed": 2, "unfixable": 1}
    assert health.stale_jobs() == {"checked": 3, "fixed": 2, "unfixable": 1}
    assert {pk for _, (pk,) in published} == {job.pk for job in [*queued, *silent]} - broken
