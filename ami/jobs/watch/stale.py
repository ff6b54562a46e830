"""Stalled Jobs and parts: find those that are lost or silent, and let them continue.

Every repair updates a row only if it has not changed since it was read, so that only one of two
simultaneous checks repairs it. An error at one Job is logged and reported, and does not affect
other Jobs.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypedDict

from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from ami.base.storable import storable_text
from ami.jobs import transitions
from ami.jobs.engine.faults import drop_dead_connection
from ami.jobs.models import Job, JobPart
from ami.jobs.states import FINAL, WAITING, JobState, Outcome, PartState
from ami.jobs.watch import broker

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 1.0
GIVEN_BACK = "The worker that took %s does not respond; the message is back in its queue."


class StaleJob(TypedDict):
    """A stalled Job, the reason, and the repair.

    `action` is "sent" if the message of the Job or of its part `part` is sent again, "updated" if a
    silent Job continues, "revoked" if it ends as canceled. `status` is the status after the repair.
    `fixed` is false if nothing could be done now; `error` then says why.
    """

    job: int
    part: int | None
    reason: str
    action: str
    previous_status: str
    status: str
    fixed: bool
    error: str


def check_lost_enqueues(*, dry_run: bool = False) -> list[StaleJob]:
    """Do what :func:`lost_enqueues` does, with details; a `dry_run` only reports."""
    if not dry_run:
        give_back()
    return send_lost(queued(), dry_run=dry_run)


def check_stale_jobs(*, dry_run: bool = False) -> list[StaleJob]:
    """Do what :func:`stale_jobs` does, with details; a `dry_run` only reports.

    A running part is silent if it had no heartbeat and was not
    sent again for `Job.STALLED_JOBS_MAX_MINUTES`, and its message does not wait in a queue. The
    next claim takes it over; after three claims without progress, the next one fails the Job.
    """
    silent = _silent_rows()
    messages = {pk for rows in silent.values() for row in rows for pk in _messages(row)}
    waiting = broker.find(messages).waiting
    stale = []
    for job, rows in silent.items():
        unsent = [row for row in rows if waiting.isdisjoint(_messages(row))]
        if unsent or not rows:
            stale.append(_revive(job, unsent, dry_run=dry_run))
    return stale


@contextmanager
def by_itself(job: Job) -> Iterator[list[str]]:
    """Log an error at one Job and collect it, so that the check continues with the next Job."""
    errors: list[str] = []
    try:
        yield errors
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        errors.append(f"{type(error).__name__}: {storable_text(error)}")
        drop_dead_connection()
        logger.exception("The check of Job %d failed.", job.pk)


def give_back() -> None:
    """Return the messages of workers that do not respond, and log that in their Jobs."""
    given = broker.give_back()
    for part in JobPart.objects.select_related("job").defer("batches").filter(task_id__in=given):
        with by_itself(part.job):
            part.job.logger.warning(GIVEN_BACK, part)


def queued() -> list[JobPart]:
    """The parts that wait for a worker, of running Jobs and of Jobs that wait for no other Job.

    That of a Job whose first part was not stored by the code that made the Job is not stored yet.
    """
    # A Job waits for an admitted Job or for one with a lower id. Otherwise the other Job has ended
    # without waking this one and was queued again, and may now wait for this Job.
    again = Q(job__waits_for__gt=F("job"), job__waits_for__admitted_at=None)
    ended = Q(job__waits_for__status__in=FINAL)
    free = Q(job__waits_for=None) | ended | again
    begun = WAITING - {JobState.CREATED}
    starts = Q(free, opens=True, job__status__in=begun)
    parts = JobPart.objects.filter(starts | Q(job__status=JobState.STARTED), state=PartState.QUEUED)
    stored = parts.select_related("job").defer("batches", "counts", "skipped").order_by("pk")
    without = Job.objects.filter(
        Q(waits_for=None) | Q(waits_for__status__in=FINAL), status__in=begun, parts=None
    )
    return [*stored, *map(JobPart.first, without.order_by("pk"))]


def send_lost(rows: Sequence[JobPart], *, dry_run: bool) -> list[StaleJob]:
    """Send the messages of `rows` again that are missing in the broker."""
    lost = _lacking(rows)
    if lost:  # a message that moves between lists may be missed once
        time.sleep(LOOK_AGAIN_SECONDS)
        lost = _lacking(lost)
    errors = ["" for _ in lost] if dry_run else _send_all(lost)
    return [_lost(row, error, dry_run=dry_run) for row, error in zip(lost, errors, strict=True)]


def _lost(row: JobPart, error: str, *, dry_run: bool) -> StaleJob:
    job = row.job
    return {
        "job": job.pk,
        "part": row.number if row.is_planned else None,
        "reason": f"{row} is queued, but the broker has no message for it.",
        "action": "sent",
        "previous_status": job.status,
        "status": job.status,
        "fixed": not (dry_run or error),
        "error": error,
    }


def _lacking(rows: Sequence[JobPart]) -> list[JobPart]:
    """The rows without a message in the broker."""
    held = broker.find({task_id for row in rows for task_id in _messages(row)})
    return [row for row in rows if not (held.waiting | held.taken).intersection(_messages(row))]


def _messages(row: JobPart) -> set[str]:
    """The task ids to look for; that of the Job counts, too, because it sends the parts."""
    return {row.task_id, row.job.task_id}


def _silent_jobs() -> QuerySet[Job]:
    parts = JobPart.objects.filter(job=OuterRef("pk"))
    unheard = ~Q(Exists(parts.filter(heartbeat_at__gte=_silence())))
    is_old = Q(Exists(parts.exclude(heartbeat_at=None))) | Q(updated_at__lt=_silence())
    is_left = Q(unheard, is_old, status=JobState.CANCELING)
    has_silent_part = Q(Exists(parts.filter(_is_silent(), state=PartState.RUNNING)))
    is_over = Q(unheard, ~Exists(parts.exclude(state=PartState.DONE)), updated_at__lt=_silence())
    return Job.objects.filter(
        is_left | Q(status=JobState.STARTED) & (has_silent_part | is_over)
    ).order_by("pk")


def _silent_rows() -> dict[Job, list[JobPart]]:
    """The parts to send again of each silent Job.

    The first part of a Job without parts is not stored yet.
    """
    silent: dict[Job, list[JobPart]] = {job: [] for job in _silent_jobs()}
    running = [job.pk for job in silent if job.status == JobState.STARTED]
    parts = JobPart.objects.filter(_is_silent(), state=PartState.RUNNING, job__in=running)
    for part in parts.select_related("job").order_by("job", "number"):
        silent[part.job].append(part)
    for job in Job.objects.filter(pk__in=running, parts=None):
        silent[job].append(JobPart.first(job))
    return silent


def _is_silent() -> Q:
    unheard = Q(heartbeat_at=None) | Q(heartbeat_at__lt=_silence())
    return unheard & Q(updated_at__lt=_silence())


def _silence() -> datetime:
    return timezone.now() - timedelta(minutes=Job.STALLED_JOBS_MAX_MINUTES)


def _revive(job: Job, rows: list[JobPart], *, dry_run: bool) -> StaleJob:
    previous, sent = job.status, False
    with by_itself(job) as errors:
        if not dry_run:
            sent = _act(job, rows)
        job.refresh_from_db(fields=["status"])
    return {
        "job": job.pk,
        "part": None,
        "reason": _silence_of(job, rows, previous),
        "action": "revoked" if previous == JobState.CANCELING else "updated",
        "previous_status": previous,
        "status": job.status,
        "fixed": not errors and (sent or job.is_final),
        "error": " ".join(errors),
    }


def _act(job: Job, rows: Sequence[JobPart]) -> bool:
    """Repair the Job; return whether all its messages were sent."""
    if rows:
        return not any(_send_all(rows))
    if job.status == JobState.CANCELING:
        transitions.end(job, Outcome.CANCELED)
    else:
        transitions.settle(job)
    return False


def _silence_of(job: Job, rows: Sequence[JobPart], status: str) -> str:
    if status == JobState.CANCELING:
        return f"Job {job.pk} is being canceled, but its workers are lost."
    if not rows:
        return f"All parts of Job {job.pk} are done, but it has not ended."
    names = ", ".join(map(str, rows))
    return f"There was no heartbeat of {names} for {Job.STALLED_JOBS_MAX_MINUTES} minutes."


def _send_all(rows: Iterable[JobPart]) -> list[str]:
    """Send each row that has not changed; return one error per row, empty if it was sent.

    After a failure of the broker no more messages are sent, because each attempt is slow.
    """
    told: list[str] = []
    refused = ""
    for row in rows:
        errors = [refused]
        if not refused:
            with by_itself(row.job) as errors:
                stored = row if row.pk else transitions.carrier(row.job)
                refused = _send(stored) if _take(stored) else ""
        told.append(refused or " ".join(errors))
    return told


def _take(row: JobPart) -> bool:
    """Mark the row as sent; returns False if it has changed since it was read."""
    seen = {"pk": row.pk, "task_id": row.task_id, "state": row.state, "updated_at": row.updated_at}
    return bool(JobPart.objects.filter(**seen).update(updated_at=timezone.now()))


def _send(row: JobPart) -> str:
    """Send the row's message; return an error sentence, empty if it was sent."""
    if not row.publish():
        return f"{row} waits for the broker."
    Job.objects.filter(pk=row.job_id).exclude(unsent="").update(unsent="")
    row.job.logger.warning("No worker held %s; its message was sent again.", row)
    return ""
