"""Every change of the state of a Job or a part; nothing else assigns one.

Each function compares the row with the state that it expects and changes it in one statement. If
two changes happen at once, one has no effect, and its function returns False or None, or raises
ClaimLostError.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

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
    JobStoppedError,
    Outcome,
    PartState,
)
from ami.jobs.summary import final_progress, skipped_in

if TYPE_CHECKING:
    from ami.jobs.models import Job, JobPart


RELEASED: dict[str, Any] = {"state": PartState.QUEUED, "claim_token": None}


# A Job


def as_queued(job: "Job") -> "Job":
    """An unsaved Job as it is to be inserted: queued, with the id of the message to send."""
    job.status, job.task_id = JobState.PENDING, str(uuid4())
    return job


def enqueue(job: "Job") -> bool:
    """Queue a created Job; its message is sent when the transaction commits.

    Returns False if the Job is in another state.
    """
    return _send(job, JobState.CREATED, status=JobState.PENDING)


def wake(job: "Job", blocker: "Job") -> None:
    """Queue a Job that waits for `blocker`; only one of several calls has an effect."""
    _send(job, JobState.PENDING, where=Q(waits_for=blocker.pk, task_id=job.task_id))


def cancel(job: "Job", *, by: str = "") -> bool:
    """Cancel a waiting Job at once, and a running one after its current batches.

    A running Job without a heartbeat for STALLED_JOBS_MAX_MINUTES ends at once: its workers are
    lost or can write nothing more. `by` is the user to name in the log. Returns False if the Job
    has ended.
    """
    with transaction.atomic():
        job.lock()  # otherwise a running Job could start to wait between the two updates
        if _end(job, Q(status__in=WAITING), Outcome.CANCELED):
            _record(job, "Canceled", by)
            return True
        if not _move(job, *RUNNING, status=JobState.CANCELING):
            return False
        _record(job, "Canceled; it stops after the current batches", by)
    job.refresh_from_db(fields=["progress"])
    silent = timezone.now() - timedelta(minutes=job.STALLED_JOBS_MAX_MINUTES)
    heard = job.parts.filter(heartbeat_at__gte=silent)
    is_silent = Q(Exists(job.parts.exclude(heartbeat_at=None)), ~Exists(heard))
    _end(job, Q(is_silent, status=JobState.CANCELING), Outcome.CANCELED)
    settle(job)
    return True


def pause(job: "Job", *, by: str = "") -> bool:
    """Pause a running Job after its current batches. Returns False in other states."""
    with transaction.atomic():
        paused = _move(job, JobState.STARTED, where=job.runs_in_parts, status=JobState.PAUSED)
        if paused:
            _record(job, "Paused", by)
    return paused


def resume(job: "Job", *, by: str = "") -> bool:
    """Continue a Job that was paused, canceled or failed.

    Returns False in other states, if no work is left, and if the revert of the Job has begun.
    """
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
            _record(job, "Resumed", by)
    return resumed


def end(job: "Job", outcome: Outcome, *, error: str = "") -> bool:
    """End a running Job. Workers that hold its parts lose their claims."""
    return _end(job, Q(status__in=RUNNING), outcome, error=error)


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
    done = Q(~undone, Exists(job.parts.all()), status__in=RUNNING)
    if rows["total"] and rows["failed"] == rows["total"]:
        _end(job, done, Outcome.CRASHED, error="Every row failed; the log says why.")
    else:
        _end(job, done, Outcome.SUCCEEDED)


# A part


def store_held(part: "JobPart") -> None:
    """Insert a planned part as held by this process."""
    part.state, part.claim_token = PartState.RUNNING, uuid4()
    part.claimed_at = part.heartbeat_at = timezone.now()
    part.save(force_insert=True)


def claim(
    part: "JobPart", *, task_id: str | None, silent_since: datetime | None = None
) -> UUID | None:
    """Claim a part for the worker that received the message `task_id`; returns the token.

    A part that another worker holds is taken over: the message was delivered again, so that worker
    is lost, or loses its claim and can commit nothing more. With `silent_since`, it is taken over
    only if its heartbeat is older. The first claim starts a waiting Job. Without `task_id`, only a
    part of a waiting Job is claimed.

    Returns None if the part is done, its Job is neither running nor waiting, or a newer message was
    sent for it.
    """
    now, token = timezone.now(), uuid4()
    unheard = Q(heartbeat_at__lt=silent_since) if silent_since else Q()
    mine = Q(state=PartState.QUEUED)
    if task_id:
        mine = (mine | Q(unheard, state=PartState.RUNNING)) & Q(task_id=task_id)
    running = _rows(part.job).filter(
        pk=part.job_id, status__in=(JobState.STARTED, JobState.CANCELING)
    )
    with transaction.atomic():
        started = part.job.status in WAITING and _move(
            part.job,
            *WAITING,
            status=JobState.STARTED,
            error="",
            unsent="",
            started_at=Coalesce(F("started_at"), now),
        )
        claimed = (started or task_id) and _parts(part).filter(mine, Exists(running)).update(
            state=PartState.RUNNING,
            claim_token=token,
            attempts=F("attempts") + 1,
            claimed_at=now,
            rows_at_claim=F("rows_done"),
            heartbeat_at=now,
            updated_at=now,
        )
        if not claimed:
            transaction.set_rollback(True)
    return token if claimed else None


def admit(part: "JobPart", blocker: "Job | None") -> None:
    """Let the Job of a held part write, or wait for `blocker`.

    Raises JobStoppedError and ClaimLostError.
    """
    if blocker is None:
        _move_as_holder(part, {}, admitted_at=timezone.now(), waits_for=None)
    else:
        _move_as_holder(part, RELEASED, status=JobState.PENDING, waits_for=blocker)


def hand_over(part: "JobPart") -> None:
    """Queue the Job of a held part for another task, with a new id.

    Its first message then has no effect if it is delivered again. Raises JobStoppedError and
    ClaimLostError.
    """
    task_id = str(uuid4())
    values = {**RELEASED, "task_id": task_id, "attempts": part.attempts - 1}
    _move_as_holder(part, values, status=JobState.PENDING, task_id=task_id)


def release(part: "JobPart") -> None:
    """Queue a part that this worker holds. Raises ClaimLostError."""
    part.save_as_holder(**RELEASED)


def complete(part: "JobPart") -> None:
    """Note that a part that this worker holds is done. Raises ClaimLostError."""
    part.save_as_holder(state=PartState.DONE, claim_token=None, attempts=0)


def advance(part: "JobPart", **values: Any) -> None:
    """Move the cursor past a batch, with `values`; after the last batch, the part is done.

    Raises ClaimLostError.
    """
    values |= {"cursor": part.cursor + 1, "attempts": 0}
    if values["cursor"] == len(part.batches):
        values |= {"state": PartState.DONE, "claim_token": None}
    part.save_as_holder(**values)


def finish(part: "JobPart", outcome: Outcome, *, error: str = "") -> None:
    """End the Job because of a part that this worker holds. Raises ClaimLostError."""
    state = PartState.DONE if STATUS_OF[outcome] == JobState.SUCCESS else PartState.FAILED
    with transaction.atomic():
        part.job.lock()
        part.save_as_holder(state=state, claim_token=None)
        part.job.refresh_from_db(fields=["progress"])
        end(part.job, outcome, error=error)


def carrier(job: "Job") -> "JobPart":
    """The part whose message starts or resumes the Job; it is created if the Job has none."""
    part = job.undone_parts.order_by("number").first() or job.parts.order_by("number").first()
    if part is None:
        if not job.task_id:
            _move(job, task_id=str(uuid4()))
        first = {"task_id": job.task_id, "is_planned": False, "opens": True}
        part, _ = job.parts.get_or_create(number=1, defaults=first)
    return part


def _rows(job: "Job") -> "models.QuerySet[Job]":
    return type(job)._default_manager.all()


def _parts(part: "JobPart") -> "models.QuerySet[JobPart]":
    return type(part)._default_manager.filter(pk=part.pk)


def _move_as_holder(part: "JobPart", own: dict[str, Any], **values: Any) -> None:
    """Write `own` to a held part and `values` to its running Job, or nothing."""
    with transaction.atomic():
        if not _move(part.job, JobState.STARTED, **values):
            raise JobStoppedError(f"Job {part.job_id} no longer runs.")
        part.save_as_holder(**own)


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
        moved = _move(job, *states, where=where, task_id=str(uuid4()), **values)
        if moved:
            # New task ids make earlier messages invalid. A worker that is still in its last batch
            # loses that batch, because it cannot be told from a worker that was lost.
            new_id = Cast(RandomUUID(), models.CharField())
            job.undone_parts.update(**RELEASED, attempts=0, opens=False, task_id=new_id)
            part = carrier(job)
            part.task_id, part.opens = job.task_id, True
            part.save(update_fields=["task_id", "opens", "updated_at"])
            transaction.on_commit(part.publish)
    return moved


def _end(job: "Job", where: Q, outcome: Outcome, *, error: str = "") -> bool:
    """End the Job if its row matches `where`, and wake the Jobs that wait for it."""
    with transaction.atomic():
        if not job.lock(where):
            return False
        # Revoke the claims of workers that still hold a part, and sum up what was done.
        job.parts.filter(state=PartState.RUNNING).update(**RELEASED)
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
