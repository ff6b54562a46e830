from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from ami.jobs.engine import parts, runner
from ami.jobs.engine.work import Planned
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.states import (
    ATTEMPTS,
    FINAL,
    RUNNING,
    WAITING,
    JobCanceledError,
    JobFailedError,
    PartState,
)
from ami.jobs.tasks import run_job
from ami.jobs.tests.job_types import Idle, Killed, job_type, make_job, work_type
from ami.jobs.tests.rows import claim, make_part, queued_job, running_job


@pytest.mark.django_db
def test_job_runs_to_its_end() -> None:
    job = make_job(unsent="The broker was down.")
    with job_type(lambda job: job.logger.info("Working.")):
        run_job(job.pk)
    job.refresh_from_db()
    assert (job.status, job.unsent) == (JobState.SUCCESS, "")
    assert job.started_at
    assert job.finished_at
    assert [line.message for line in job.logs.all()] == ["Working."]


@pytest.mark.django_db
@pytest.mark.parametrize("status", sorted(JobState))
def test_only_a_waiting_job_is_claimed(status: JobState) -> None:
    runs: list[int] = []
    job = make_job(status=status)
    with job_type(lambda job: runs.append(job.pk)):
        runner.run(job.pk)
    assert runs == ([job.pk] if status in WAITING else [])


@pytest.mark.django_db
def test_running_job_is_claimed_for_its_newest_message_alone() -> None:
    job = running_job(task_id="newest")
    assert claim(job.pk, task_id="replaced") is None
    assert claim(job.pk, task_id="newest")


@pytest.mark.django_db
def test_message_of_a_deleted_job_is_dropped() -> None:
    runner.run(2**40)


def test_states_are_waiting_running_or_final() -> None:
    assert set(JobState) - {JobState.UNKNOWN} == WAITING | RUNNING | FINAL
    assert not WAITING & RUNNING
    assert not (WAITING | RUNNING) & FINAL


@pytest.mark.django_db(transaction=True)
def test_job_is_claimed_by_one_of_two_workers() -> None:
    barrier = Barrier(2)

    def contend(job_id: int) -> bool:
        try:
            barrier.wait()
            return claim(job_id) is not None
        finally:
            connection.close()

    for _ in range(20):
        job = make_job()
        with ThreadPoolExecutor(2) as workers:
            assert sorted(workers.map(contend, [job.pk] * 2)) == [False, True]


@pytest.mark.django_db
def test_expected_failure_ends_with_its_sentence() -> None:
    def run(job: Job) -> None:
        raise JobFailedError("Capture set 4 no longer exists.")

    job = make_job()
    with job_type(run):
        runner.run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.error) == (JobState.FAILURE, "Capture set 4 no longer exists.")
    assert [(line.level, line.message) for line in job.logs.all()] == [
        ("ERROR", "Capture set 4 no longer exists.")
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["division", "nul\x00", "half \ud800", "", "x" * 100_000])
def test_crash_ends_with_a_sentence_and_the_traceback(text: str) -> None:
    def run(job: Job) -> None:
        job.progress.add_stage("Stage")
        raise RuntimeError(text)

    job = make_job()
    with job_type(run):
        runner.run(job.pk)
    job.refresh_from_db()
    assert job.status == JobState.FAILURE
    assert job.error.startswith("The run crashed: RuntimeError")
    assert job.finished_at
    (line,) = job.logs.all()
    assert line.level == "ERROR"
    assert "Traceback (most recent call last)" in line.message


@pytest.mark.django_db(transaction=True)
def test_run_that_loses_its_connection_ends_as_failed() -> None:
    def run(job: Job) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    job = make_job()
    with job_type(run):
        runner.run(job.pk)
    job.refresh_from_db()
    assert job.status == JobState.FAILURE
    assert job.error.startswith("The run crashed: OperationalError: ")
    assert "Traceback (most recent call last)" in job.logs.get().message


@pytest.mark.django_db
def test_worker_that_lacks_the_job_type_says_so() -> None:
    job = make_job(job_type_key="elsewhere")
    runner.run(job.pk)
    job.refresh_from_db()
    assert job.status == JobState.FAILURE
    assert job.error.startswith("Unknown job type 'elsewhere'. Registered: data_integrity, ")


@pytest.mark.django_db
def test_part_of_work_that_is_one_call_by_now_fails_with_a_sentence() -> None:
    part = make_part(job := running_job(), PartState.QUEUED, batches=[[1, 1]])
    with job_type(lambda job: None):
        runner.run_part(part.pk, task_id=part.task_id)
    job.refresh_from_db()
    assert job.status == JobState.FAILURE
    assert job.error == "Stage no longer runs in parts; run the Job again."


@pytest.mark.django_db
def test_canceled_run_ends_as_canceled() -> None:
    def run(job: Job) -> None:
        Job.objects.get(pk=job.pk).cancel()
        job.raise_if_canceled()

    job = make_job()
    with job_type(run):
        runner.run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.error) == (JobState.REVOKED, "")
    assert "committed changes stay" in job.logs.get().message


@pytest.mark.django_db
def test_run_that_completes_while_it_is_canceled_has_succeeded() -> None:
    def cancel(job: Job) -> None:
        Job.objects.get(pk=job.pk).cancel()

    job = make_job()
    with job_type(cancel):
        runner.run(job.pk)
    job.refresh_from_db()
    assert job.status == JobState.SUCCESS


def take_over(job: Job) -> None:
    """Claim a running Job for another worker."""
    assert claim(job.pk, task_id=Job.objects.get(pk=job.pk).task_id)


@pytest.mark.django_db
@pytest.mark.parametrize("last", [Job.checkpoint, str], ids=["progress", "end"])
def test_worker_that_lost_its_claim_leaves_the_job_to_the_other(
    last: Callable[[Job], object],
) -> None:
    def run(job: Job) -> None:
        take_over(job)
        last(job)

    job = make_job()
    with job_type(run):
        runner.run(job.pk)
    job.refresh_from_db()
    assert job.status == JobState.STARTED
    assert not job.logs.exists()


@pytest.mark.django_db
def test_worker_that_lost_its_claim_while_it_planned_makes_no_parts() -> None:
    class Overtaken(Idle):
        def plan(self) -> list[Planned]:
            take_over(job)
            return [Planned(1, None)]

    job = make_job()
    with work_type(Overtaken):
        runner.run(job.pk)
    job.refresh_from_db()
    assert job.status == JobState.STARTED
    assert not job.parts.filter(is_planned=True).exists()


class Apart(Idle):
    """Three batches, each a part of its own."""

    part_batches = 1

    def plan(self) -> list[Planned]:
        return [Planned(1, number) for number in range(3)]


@pytest.mark.django_db
def test_worker_that_was_lost_before_it_handed_out_is_followed_by_one_that_does(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, list[int]]]
) -> None:
    def killed(part: JobPart) -> bool:
        raise Killed

    job = queued_job()
    with work_type(Apart):
        with monkeypatch.context() as patch:
            patch.setattr(JobPart, "publish", killed)
            with pytest.raises(Killed):
                runner.run(job.pk, task_id=job.task_id)
        assert (job.parts.count(), published) == (3, [])
        runner.run(job.pk, task_id=job.task_id)
    others = job.parts.filter(number__gt=1).order_by("number")
    assert published == [(part.task_id, [part.pk]) for part in others]


@pytest.mark.django_db
def test_messages_of_the_parts_are_sent_once(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, list[int]]]
) -> None:
    monkeypatch.setattr(parts, "PART_SECONDS", 0)
    job = queued_job()
    with work_type(Apart):
        runner.run(job.pk, task_id=job.task_id)
        first, *others = job.parts.order_by("number")
        runner.run_part(first.pk, task_id=first.task_id)
    sent = [*others, first, first]  # which is handed back at once, twice
    assert published == [(part.task_id, [part.pk]) for part in sent]


@pytest.mark.django_db
def test_job_that_always_loses_its_worker_fails_and_may_be_resumed() -> None:
    def run(job: Job) -> None:
        raise Killed

    job = make_job(task_id="one")
    with job_type(run):
        for _ in range(ATTEMPTS):
            with pytest.raises(Killed):
                runner.run(job.pk, task_id="one")
        runner.run(job.pk, task_id="one")
    job.refresh_from_db()
    assert job.status == JobState.FAILURE
    assert job.error.startswith(f"Job {job.pk} was started 3 times and never reached its end. ")

    assert job.resume()
    with job_type(lambda job: None):
        runner.run(job.pk)
    job.refresh_from_db()
    assert job.status == JobState.SUCCESS


@pytest.mark.django_db
def test_job_that_had_not_begun_to_write_is_resumed_from_its_start() -> None:
    outcomes = iter([JobFailedError("Not yet."), JobCanceledError(), None])

    def run(job: Job) -> None:
        if outcome := next(outcomes):
            raise outcome

    job = make_job()
    seen = []
    with job_type(run):
        for _ in range(3):
            runner.run(job.pk)
            job.refresh_from_db()
            seen.append((job.status, job.error))
            assert job.resume() == (job.status != JobState.SUCCESS)
    assert seen == [(JobState.FAILURE, "Not yet."), (JobState.REVOKED, ""), (JobState.SUCCESS, "")]
