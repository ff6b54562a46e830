"""Every change of the state of a Job or a part; nothing else assigns one.

Each function compares the row with the state that it expects and changes it in one statement. If
two changes happen at once, one has no effect, and its function returns False or None, or raises
ClaimLostError.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.contrib.postgres.functions import RandomUUID
from django.db import models, transaction
from django.db.models import Exists, F, Q
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from ami.base.storable import storable_text
from ami.jobs.states import (
    FINAL,
    RUNNING,
    STATUS_OF,
    STOPPED_SHORT,
    WAITING,
    JobState,
    Outcome,
    PartState,
)
from ami.jobs.summary import final_progress, skipped_in

if TYPE_CHECKING:
    from ami.jobs.models import Job, JobPart


# A Job


def as_queued(job: "Job") -> "Job":
    """An unsaved Job as it is to be inserted: queued, with the id of the message to send."""
    job.status, job.task_id = JobState.PENDING, str(uuid4())
    return job


def enqueue(job: "Job") -> bool:
    """Queue a created Job; its message is sent when the transaction commits."""
    return _send(job, JobState.CREATED, status=JobState.PENDING)


def start(job: "Job", *, task_id: str | None, silent_since: datetime | None = None) -> bool:
    """Claim a waiting Job, or a running Job whose message `task_id` was delivered again.

    With `silent_since`, claim a running Job only if its heartbeat is older.
    """
    now, token = timezone.now(), uuid4()
    mine = Q(status__in=WAITING)
    if task_id:
        again = Q(status=JobState.STARTED)
        if silent_since:
            again &= Q(heartbeat_at__lt=silent_since)
        mine = (mine | again) & Q(task_id=task_id)
    _rows(job).filter(mine, pk=job.pk).update(
        status=JobState.STARTED,
        claim_token=token,
        attempts=F("attempts") + 1,
        error="",
        unsent="",
        started_at=Coalesce(F("started_at"), now),
        heartbeat_at=now,
        finished_at=None,
        updated_at=now,
    )
    job.refresh_from_db()
    return job.claim_token == token


def hand_over(job: "Job") -> bool:
    """Queue a claimed Job for another task, with a new id; returns False if the claim is lost."""
    return _move(
        job,
        JobState.STARTED,
        where=Q(claim_token=job.claim_token),
        status=JobState.PENDING,
        task_id=str(uuid4()),
        claim_token=None,
        attempts=job.attempts - 1,
    )


def admit(job: "Job", blocker: "Job | None") -> bool:
    """Let a claimed Job write, or wait for `blocker`; returns False if the claim is lost."""
    held = Q(claim_token=job.claim_token)
    if blocker is None:
        values: dict[str, Any] = {"admitted_at": timezone.now(), "waits_for": None}
        return _move(job, JobState.STARTED, where=held, **values)
    return _move(
        job,
        JobState.STARTED,
        where=held,
        status=JobState.PENDING,
        waits_for=blocker,
        claim_token=None,
    )


def wake(job: "Job", blocker: "Job") -> None:
    """Queue a Job that waits for `blocker`; only one of several calls has an effect."""
    _send(job, JobState.PENDING, where=Q(waits_for=blocker.pk, task_id=job.task_id))


def cancel(job: "Job", *, by: str = "") -> bool:
    """Cancel a waiting Job at once, and a running one after its current batches.

    A running Job without a heartbeat for STALLED_JOBS_MAX_MINUTES ends at once: its workers are
    lost or can write nothing more.
    """
    with transaction.atomic():
        job.lock()  # otherwise a running Job could start to wait between the two updates
        if _end(job, Q(status__in=WAITING), Outcome.CANCELED):
            _record(job, "Canceled", by)
            return True
        if not _move(job, *RUNNING, status=JobState.CANCELING):
            return False
        _record(job, "Canceled; it stops after the current batches", by)
    silent = timezone.now() - timedelta(minutes=job.STALLED_JOBS_MAX_MINUTES)
    recent = job.parts.filter(heartbeat_at__gte=silent)
    job.refresh_from_db(fields=["progress"])
    is_silent = Q(heartbeat_at__lt=silent) & Q(~Exists(recent))
    _end(job, Q(status=JobState.CANCELING) & is_silent, Outcome.CANCELED)
    settle(job)
    return True


def pause(job: "Job", *, by: str = "") -> bool:
    """Pause a running Job after its current batches."""
    with transaction.atomic():
        paused = _move(job, JobState.STARTED, where=job.has_parts, status=JobState.PAUSED)
        if paused:
            _record(job, "Paused", by)
    return paused


def resume(job: "Job", *, by: str = "") -> bool:
    """Continue a Job that was paused, or was canceled or failed with work left."""
    with transaction.atomic():
        job.lock()
        resumed = _send(job, JobState.PAUSED, status=JobState.STARTED) or (
            not job.is_reverted
            and _send(
                job,
                *STOPPED_SHORT,
                where=job.left_undone,
                status=JobState.PENDING,
                outcome="",
                error="",
                finished_at=None,
            )
        )
        if resumed:
            # New task ids make earlier messages invalid. A worker that is still in its last
            # batch loses that batch, because it cannot be told from a worker that was lost.
            job.undone_parts.update(
                state=PartState.QUEUED,
                claim_token=None,
                attempts=0,
                task_id=Cast(RandomUUID(), models.CharField()),
            )
            _record(job, "Resumed", by)
    return resumed


def finish(job: "Job", outcome: Outcome, *, error: str = "") -> bool:
    """End the run that this worker holds."""
    held = Q(status__in=RUNNING, claim_token=job.claim_token)
    return _end(job, held, outcome, error=error)


def settle(job: "Job") -> None:
    """End the Job, exactly once, if all parts are done, or if it is canceled and none runs.

    Call this after each commit that finishes or releases a part, so that the last of several
    workers sees the state of all parts.
    """
    job.refresh_from_db(fields=["progress"])
    undone = Exists(job.undone_parts)
    if job.undone_parts.exists():
        running = Exists(job.parts.filter(state=PartState.RUNNING))
        if _end(job, Q(undone, ~running, status=JobState.CANCELING), Outcome.CANCELED):
            job.logger.warning("Canceled; committed changes stay.")
        return
    rows = job.parts.aggregate(
        total=models.Sum("rows_total", default=0), failed=models.Sum("rows_failed", default=0)
    )
    done = Q(~undone, status__in=RUNNING) & job.has_parts
    if rows["total"] and rows["failed"] == rows["total"]:
        _end(job, done, Outcome.CRASHED, error="Every row failed; the log says why.")
    else:
        _end(job, done, Outcome.SUCCEEDED)


# A part


def store_plan(parts: "Iterable[JobPart]") -> None:
    """Insert planned parts as queued; a part without batches is done."""
    parts = list(parts)
    for part in parts:
        part.state = PartState.QUEUED if part.batches else PartState.DONE
    type(parts[0])._default_manager.bulk_create(parts)


def store_held(part: "JobPart") -> None:
    """Insert a planned part as held by this process."""
    part.state, part.claim_token, part.claimed_at = PartState.RUNNING, uuid4(), timezone.now()
    part.save(force_insert=True)


def claim(part: "JobPart", *, task_id: str) -> bool:
    """Claim a part of a running Job for the worker that received the message `task_id`.

    A part that another worker holds is taken over: the message was delivered again, so that worker
    is lost, or loses its claim and can commit nothing more. Returns False if the part is done, its
    Job is not running, or a newer message was sent for it.
    """
    now, token = timezone.now(), uuid4()
    running = _rows(part.job).filter(pk=part.job_id, status=JobState.STARTED)
    parts = type(part)._default_manager.filter(
        Exists(running),
        pk=part.pk,
        task_id=task_id,
        state__in=(PartState.QUEUED, PartState.RUNNING),
    )
    claimed = parts.update(
        state=PartState.RUNNING,
        claim_token=token,
        attempts=F("attempts") + 1,
        claimed_at=now,
        rows_at_claim=F("rows_done"),
        heartbeat_at=now,
        updated_at=now,
    )
    if claimed:
        part.refresh_from_db(from_queryset=type(part)._default_manager.select_related("job"))
    return bool(claimed) and part.claim_token == token


def release(part: "JobPart") -> None:
    """Queue a part that this worker holds. Raises ClaimLostError."""
    part.save_as_holder(state=PartState.QUEUED, claim_token=None)


def advance(part: "JobPart", **values: Any) -> None:
    """Move the cursor past a batch, with `values`; after the last batch, the part is done.

    Raises ClaimLostError.
    """
    values |= {"cursor": part.cursor + 1, "attempts": 0}
    if values["cursor"] == len(part.batches):
        values |= {"state": PartState.DONE, "claim_token": None}
    part.save_as_holder(**values)


def fail(part: "JobPart", error: str, *, crashed: bool = False) -> None:
    """End the Job because of a part that this worker holds. Raises ClaimLostError."""
    job, outcome = part.job, Outcome.CRASHED if crashed else Outcome.FAILED
    with transaction.atomic():
        job.lock()
        part.save_as_holder(state=PartState.FAILED, claim_token=None)
        job.refresh_from_db(fields=["progress"])
        _end(job, Q(status__in=RUNNING), outcome, error=error)


def _rows(job: "Job") -> "models.QuerySet[Job]":
    return type(job)._default_manager.all()


def _move(job: "Job", *states: JobState, where: Q | None = None, **values: Any) -> bool:
    """Write `values` if the row is in one of `states` and matches `where`; else return False.

    Without `states`, any state except a final one matches, so that a Job never changes after its
    end. The object in memory changes last, so that it matches the row if anything fails.
    """
    rows = _rows(job).filter(where or Q(), pk=job.pk)
    rows = rows.filter(status__in=states) if states else rows.exclude(status__in=FINAL)
    if not rows.update(updated_at=timezone.now(), **values):
        return False
    for name, value in values.items():
        setattr(job, name, value)
    return True


def _send(job: "Job", *states: JobState, where: Q | None = None, **values: Any) -> bool:
    """Change the state, and send a message with a new task id when the transaction commits."""
    with transaction.atomic():
        moved = _move(job, *states, where=where, task_id=str(uuid4()), attempts=0, **values)
        if moved:
            transaction.on_commit(job.publish)
    return moved


def _end(job: "Job", where: Q, outcome: Outcome, *, error: str = "") -> bool:
    """End the Job if its row matches `where`, and wake the Jobs that wait for it."""
    with transaction.atomic():
        if not job.lock(where):
            return False
        # Revoke the claims of workers that still hold a part, and sum up what was done.
        running = job.parts.filter(state=PartState.RUNNING)
        running.update(state=PartState.QUEUED, claim_token=None)
        progress = final_progress(job, outcome)
        if outcome == Outcome.SUCCEEDED and (progress.skipped or progress.warnings):
            outcome = Outcome.PROBLEMS
        for sentence in [*progress.warnings, *skipped_in(job)]:
            job.logger.warning(sentence)
        transaction.on_commit(partial(_wake_all, job))
        return _move(
            job,
            status=STATUS_OF[outcome],
            outcome=outcome,
            progress=progress,
            error=storable_text(error),
            unsent="",
            claim_token=None,
            waits_for=None,
            admitted_at=None,
            finished_at=timezone.now(),
        )


def _wake_all(job: "Job") -> None:
    for waiting in _rows(job).filter(waits_for=job.pk).order_by("pk"):
        wake(waiting, job)


def _record(job: "Job", what: str, by: str) -> None:
    if by:
        job.logger.info("%s by %s.", what, by)
