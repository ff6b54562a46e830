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
from uuid import uuid4

from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from ami.base.storable import storable_text
from ami.jobs import transitions
from ami.jobs.engine.faults import drop_dead_connection
from ami.jobs.models import Job, JobPart
from ami.jobs.states import FINAL, WAITING, JobState, PartState
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

    A running part, or a running Job without parts, is silent if it had no heartbeat and was not
    sent again for `Job.STALLED_JOBS_MAX_MINUTES`, and its message does not wait in a queue. The
    next claim takes it over; after three claims without progress, the next one fails the Job.
    """
    silent = {job: _silent_rows(job) for job in _silent_jobs()}
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
        part.job.logger.warning(GIVEN_BACK, part)
    for job in Job.objects.filter(task_id__in=given):
        job.logger.warning(GIVEN_BACK, f"Job {job.pk}")


def queued() -> list[Job | JobPart]:
    """What waits for a worker: Jobs that wait for no other Job, and parts of running Jobs."""
    return [*_queued_jobs(), *_queued_parts()]


def send_lost(rows: Sequence[Job | JobPart], *, dry_run: bool) -> list[StaleJob]:
    """Send the messages of `rows` again that are missing in the broker."""
    lost = _lacking(rows)
    if lost:  # a message that moves between lists may be missed once
        time.sleep(LOOK_AGAIN_SECONDS)
        lost = _lacking(lost)
    errors = ["" for _ in lost] if dry_run else _send_all(lost)
    return [_lost(row, error, dry_run=dry_run) for row, error in zip(lost, errors, strict=True)]


def _lost(row: Job | JobPart, error: str, *, dry_run: bool) -> StaleJob:
    job = _job_of(row)
    return {
        "job": job.pk,
        "part": row.number if isinstance(row, JobPart) else None,
        "reason": f"{_name(row)} is queued, but the broker has no message for it.",
        "action": "sent",
        "previous_status": job.status,
        "status": job.status,
        "fixed": not (dry_run or error),
        "error": error,
    }


def _queued_jobs() -> QuerySet[Job]:
    # A Job waits for an admitted Job or for one with a lower id. Otherwise the other Job has ended
    # without waking this one and was queued again, and may now wait for this Job.
    again = Q(waits_for__gt=F("pk"), waits_for__admitted_at=None)
    free = Q(waits_for=None) | Q(waits_for__status__in=FINAL) | again
    queued = Job.objects.filter(free, status__in=WAITING - {JobState.CREATED})
    return queued.only("task_id", "status", "updated_at").order_by("pk")


def _queued_parts() -> QuerySet[JobPart]:
    queued = JobPart.objects.filter(state=PartState.QUEUED, job__status=JobState.STARTED)
    fields = ("job__task_id", "job__status", "number", "task_id", "state", "updated_at")
    return queued.select_related("job").only(*fields).order_by("pk")


def _lacking(rows: Sequence[Job | JobPart]) -> list[Job | JobPart]:
    """The rows without a message in the broker."""
    held = broker.find({task_id for row in rows for task_id in _messages(row)})
    return [row for row in rows if not (held.waiting | held.taken).intersection(_messages(row))]


def _messages(row: Job | JobPart) -> set[str]:
    """The task ids to look for; that of the Job counts for a part, too, because it sends parts."""
    return {row.task_id, row.job.task_id} if isinstance(row, JobPart) else {row.task_id}


def _silent_jobs() -> QuerySet[Job]:
    parts = JobPart.objects.filter(job=OuterRef("pk"))
    heard = parts.filter(heartbeat_at__gte=_silence())
    is_left = Q(status=JobState.CANCELING, heartbeat_at__lt=_silence()) & ~Q(Exists(heard))
    has_silent_part = Q(Exists(parts.filter(_is_silent(), state=PartState.RUNNING)))
    is_over = _is_silent() & ~Q(Exists(parts.exclude(state=PartState.DONE)))
    return Job.objects.filter(
        is_left | Q(status=JobState.STARTED) & (has_silent_part | is_over)
    ).order_by("pk")


def _silent_rows(job: Job) -> list[Job | JobPart]:
    """What to send again: silent parts, or a Job without parts; nothing for a canceled Job."""
    if job.status == JobState.CANCELING:
        return []
    if not job.parts.exists():
        return [job]
    return [*job.parts.filter(_is_silent(), state=PartState.RUNNING).order_by("number")]


def _is_silent() -> Q:
    unheard = Q(heartbeat_at=None) | Q(heartbeat_at__lt=_silence())
    return unheard & Q(updated_at__lt=_silence())


def _silence() -> datetime:
    return timezone.now() - timedelta(minutes=Job.STALLED_JOBS_MAX_MINUTES)


def _revive(job: Job, rows: list[Job | JobPart], *, dry_run: bool) -> StaleJob:
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


def _act(job: Job, rows: Sequence[Job | JobPart]) -> bool:
    """Repair the Job; return whether all its messages were sent."""
    if rows:
        return not any(_send_all(rows))
    if job.status == JobState.CANCELING:
        job.cancel()
    else:
        transitions.settle(job)
    return False


def _silence_of(job: Job, rows: Sequence[Job | JobPart], status: str) -> str:
    if status == JobState.CANCELING:
        return f"Job {job.pk} is being canceled, but its workers are lost."
    if not rows:
        return f"All parts of Job {job.pk} are done, but it has not ended."
    names = ", ".join(map(_name, rows))
    return f"There was no heartbeat of {names} for {Job.STALLED_JOBS_MAX_MINUTES} minutes."


def _send_all(rows: Iterable[Job | JobPart]) -> list[str]:
    """Send each row that has not changed; return one error per row, empty if it was sent.

    After a failure of the broker no more messages are sent, because each attempt is slow.
    """
    told: list[str] = []
    refused = ""
    for row in rows:
        errors = [refused]
        if not refused:
            with by_itself(_job_of(row)) as errors:
                refused = _send(row) if _take(row) else ""
        told.append(refused or " ".join(errors))
    return told


def _take(row: Job | JobPart) -> bool:
    """Mark the row as sent; returns False if it has changed since it was read."""
    seen = {"pk": row.pk, "task_id": row.task_id, "updated_at": row.updated_at}
    row.task_id = row.task_id or str(uuid4())
    now = timezone.now()
    if isinstance(row, Job):
        jobs = Job.objects.filter(**seen, status=row.status)
        return bool(jobs.update(task_id=row.task_id, unsent="", updated_at=now))
    parts = JobPart.objects.filter(**seen, state=row.state)
    return bool(parts.update(task_id=row.task_id, updated_at=now))


def _send(row: Job | JobPart) -> str:
    """Send the row's message; return an error sentence, empty if it was sent."""
    job, name = _job_of(row), _name(row)
    try:
        if row.publish() is False:
            return f"{name} waits for the broker."
    except BrokerError as error:
        job.logger.warning("%s waits for the broker: %s", name, error)
        return f"{name} waits for the broker."
    job.logger.warning("No worker held %s; its message was sent again.", name)
    return ""


def _job_of(row: Job | JobPart) -> Job:
    return row.job if isinstance(row, JobPart) else row


def _name(row: Job | JobPart) -> str:
    return str(row) if isinstance(row, JobPart) else f"Job {row.pk}"
