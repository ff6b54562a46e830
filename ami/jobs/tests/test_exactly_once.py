"""A batch whose worker is stopped is rolled back completely, and done exactly once in the end."""

from functools import partial
from itertools import count
from typing import Any

import psycopg2
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection

from ami.base.tests.factories import make_classification
from ami.jobs.engine import batches, parts, runner
from ami.jobs.models import JobPart, JobState
from ami.jobs.states import Outcome, PartState
from ami.jobs.tests.job_types import Killed
from ami.jobs.tests.rows import claim
from ami.jobs.tests.seeing import SeeingTask, broker, seeing, unseen, worked
from ami.jobs.tests.workers import Broker, assert_sound, fresh, queued, race, run_part
from ami.main.models import Classification, Detection
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.tests.methods import make_scope

__all__ = ["broker", "seeing"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("seeing")]


def test_soft_time_limit_is_no_fault_of_the_rows(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = make_scope(*[1] * 64)
    calls, cut_short, number = list[int](), list[int](), count(1)
    process = SeeingTask.process

    def late(task: SeeingTask, batch: Batch) -> None:
        process(task, batch)
        calls.append(batch.first)
        if next(number) == 2:
            cut_short.append(batch.first)
            raise SoftTimeLimitExceeded

    monkeypatch.setattr(SeeingTask, "process", late)
    job = worked(broker, scope)
    assert (job.outcome, unseen()) == (Outcome.SUCCEEDED, [])
    assert len(calls) == 5
    assert sorted(calls) == sorted([*set(calls), *cut_short])
    assert job.changes.count() == 64
    assert (
        "reached the time limit; its batch will be repeated"
        in job.logs.get(level="WARNING").message
    )


@pytest.mark.parametrize("dry_run", [False, True], ids=["run", "dry run"])
def test_lost_connection_is_no_fault_of_the_rows(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, *, dry_run: bool
) -> None:
    scope = make_scope(*[1] * 64)
    number = count(1)
    process = SeeingTask.process

    def losing(task: SeeingTask, batch: Batch) -> None:
        task.logger.info("Before.")
        process(task, batch)
        if next(number) <= 2:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(SeeingTask, "process", losing)
    job = worked(broker, scope, dry_run=dry_run)
    assert (job.outcome, job.changes.count()) == (Outcome.SUCCEEDED, 64)
    assert job.progress.figures == {"Seen": 64}
    assert job.logs.filter(message__endswith="the batch is retried.").count() == 2
    assert job.logs.filter(message="Before.").count() == 6


@pytest.mark.parametrize("at", [1, 2], ids=["a batch within", "the last batch of a part"])
@pytest.mark.parametrize("dry_run", [False, True], ids=["run", "dry run"])
@pytest.mark.parametrize("visible", [True, False], ids=["at once", "later"])
def test_commit_whose_answer_was_lost_is_not_done_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, *, at: int, dry_run: bool, visible: bool
) -> None:
    """The server may not have committed yet when the worker looks for its changes."""
    if not visible:
        monkeypatch.setattr(parts._Walk, "_was_committed", lambda walk: False)
    scope = make_scope(*[1] * 64)
    done: list[int] = []
    do_batch = batches.do_batch

    def answerless(part: JobPart, *args: Any) -> None:
        place = dict(vars(part))
        do_batch(part, *args)
        done.append(part.pk)
        if len(done) == at:
            vars(part).update(place)
            connection.close()
            raise lost_connection()

    monkeypatch.setattr(parts, "do_batch", answerless)
    job = worked(broker, scope, dry_run=dry_run, workers=1)
    assert job.outcome == Outcome.SUCCEEDED
    assert job.progress.figures == {"Seen": 64}
    assert job.changes.count() == 64
    assert len(done) == 4


def test_worker_that_is_overtaken_within_a_batch_commits_nothing_of_it(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = make_scope(*[1] * 32)
    job = queued(SeeingTask, scope)
    claims: list[JobPart | None] = []
    process = SeeingTask.process

    def overtaken(task: SeeingTask, batch: Batch) -> None:
        process(task, batch)
        if not claims:
            part = job.parts.get()
            claims.extend(race(partial(JobPart.claim, part.pk, task_id=part.task_id)))

    monkeypatch.setattr(SeeingTask, "process", overtaken)
    broker.work()
    (second,) = claims
    part = job.parts.get()
    assert second
    assert (part.claim_token, part.cursor, part.rows_done) == (second.claim_token, 0, 0)
    assert len(unseen()) == 32
    assert not job.changes.exists()

    run_part(part)
    assert assert_sound(job).outcome == Outcome.SUCCEEDED
    assert fresh(job).progress.figures == {"Seen": 32}
    assert job.changes.count() == 32


def lost_connection() -> Exception:
    lost = OperationalError("server closed the connection unexpectedly")
    lost.__cause__ = psycopg2.OperationalError(str(lost))
    return lost


def test_batch_that_always_loses_its_worker_fails_the_job(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = make_scope(1, 1)

    def killed(*args: Any) -> None:
        raise Killed

    job = queued(SeeingTask, scope)
    monkeypatch.setattr(SeeingTask, "process", killed)
    for _ in range(3):
        with pytest.raises(Killed):
            runner.run(job.pk, task_id=job.task_id)
    assert fresh(job).status == JobState.STARTED
    broker.work()
    failed = assert_sound(job)
    assert failed.outcome == Outcome.FAILED
    assert "was started 3 times and never reached the end of a batch" in failed.error


def test_slices_go_on_exactly_where_they_ended(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = make_scope(*[1] * 64)
    monkeypatch.setattr(SeeingTask, "batch_size", 3)
    monkeypatch.setattr(SeeingTask, "part_batches", 11)
    monkeypatch.setattr(parts, "PART_SECONDS", 2)
    monkeypatch.setattr(JobPart, "seconds_since_claim", property(batches_since_claim))
    job = worked(broker, scope)
    assert (job.outcome, unseen()) == (Outcome.SUCCEEDED, [])
    assert job.progress.figures == {"Seen": 64}
    assert job.changes.count() == 64
    assert len(broker.sent) == 2 * 6  # the message of the Job runs the first slice
    assert set(job.parts.values_list("attempts", flat=True)) == {0}


def batches_since_claim(part: JobPart) -> int:
    """A clock that advances with each batch."""
    claimed_at: int = vars(part).setdefault("cursor_at_claim", part.cursor)
    return part.cursor - claimed_at


def test_run_that_is_aborted_at_any_statement_leaves_all_or_nothing(
    broker: Broker,
) -> None:
    """Aborts a batch at its first statement, then at its second, and so on."""
    scope = make_scope(1, 1)
    for detection in Detection.objects.all():
        make_classification(detection=detection)
    job = queued(SeeingTask, scope)
    broker.forget()
    claimed = claim(job.pk, task_id=job.task_id)
    assert claimed
    assert claimed.held
    runner._plan(claimed.held, SeeingTask(job=claimed, source_image_collection_id=scope.pk))
    before = state()
    ends = []
    for number in range(1, 100):
        part = JobPart.claim(job.parts.get().pk, task_id=job.parts.get().task_id)
        assert part
        work = SeeingTask(job=part.job, source_image_collection_id=scope.pk)
        batch = part.next_batch
        assert batch
        statements = Aborting(number)
        try:
            with connection.execute_wrapper(statements):
                batches.do_batch(part, work, batch)
        except Killed:
            ends.append(state())
        else:
            break
    assert number > 8
    assert ends == [before] * len(ends)
    after = state()
    assert [row["path"] for row in after["detections"]] == ["seen"] * 2
    assert (after["changes"], after["cursor"]) == (2, 1)


class Aborting:
    """Executes the n-th statement, and then ends the process."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, execute: Any, *args: Any) -> Any:
        result = execute(*args)
        self.left -= 1
        if not self.left:
            raise Killed
        return result


def state() -> dict[str, Any]:
    part = JobPart.objects.get()
    return {
        "detections": list(Detection.objects.order_by("pk").values("pk", "path", "updated_at")),
        "classifications": list(Classification.objects.order_by("pk").values()),
        "changes": part.job.changes.count(),
        "cursor": part.cursor,
        "counts": part.counts,
        "done": part.state == PartState.DONE,
    }


@pytest.mark.usefixtures("untimed")
def test_queries_of_a_batch_do_not_grow_with_its_rows(broker: Broker) -> None:
    """Measured over a whole run or dry run of one batch."""
    counted = {}
    for rows in (1, 15):
        for dry_run in (False, True):
            job = queued(SeeingTask, make_scope(*[1] * rows), dry_run=dry_run)
            broker.forget()
            statements = Aborting(-1)
            with connection.execute_wrapper(statements):
                runner.run(job.pk, task_id=job.task_id)
            assert assert_sound(job).outcome == Outcome.SUCCEEDED
            counted[rows, dry_run] = -1 - statements.left
    assert counted[1, False] == counted[15, False]
    assert counted[1, True] == counted[15, True]
