"""The health of Jobs: lost messages are sent again, and the work of silent workers is handed on.

Every repair compares and sets the row that it saw, so that of two checks at once one does it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import uuid4

from celery import current_app
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from ami.jobs import broker, vitals
from ami.jobs.faults import drop_dead_connection
from ami.jobs.models import Job, JobPart, Pulse
from ami.jobs.states import FINAL, RUNNING, WAITING, JobState, PartState
from ami.jobs.summary import summary_of

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 1.0
PING_SECONDS = 1.0


class Findings(TypedDict):
    """What a sub-check looked at, what it repaired, and what it could not."""

    checked: int
    fixed: int
    unfixable: int


class StaleJob(TypedDict):
    """What becomes of a silent Job: "revoked" ends it as canceled, "updated" lets it go on.

    `status` is the one it has then; `fixed` is false where nothing could be done now.
    """

    job: int
    action: str
    previous_status: str
    status: str
    fixed: bool


def check_all() -> dict[str, Findings]:
    """Run every sub-check, apart from the others: a crash reads as one that is unfixable."""
    return {name: _isolated(name, check) for name, check in SUB_CHECKS.items()}


def lost_enqueues() -> Findings:
    """Send the message of queued Jobs and parts again, under its id, that the broker lacks.

    One behind a long queue is left alone, and so is a Job that waits for another one.
    """
    queued: list[Job | JobPart] = [*_queued_jobs(), *_queued_parts()]
    lost = _lacking(queued)
    if lost:  # a message that moves is in no place for a moment
        time.sleep(LOOK_AGAIN_SECONDS)
        lost = _lacking(lost)
    sent = _send_all(lost)
    return {"checked": len(queued), "fixed": sent.count(True), "unfixable": sent.count(False)}


def stale_jobs() -> Findings:
    """Hand on the work of workers that give no sign of life, and end what they were to cancel."""
    running = Job.objects.filter(status__in=(JobState.STARTED, JobState.CANCELING)).count()
    fixed = [stale["fixed"] for stale in check_stale_jobs()]
    return {"checked": running, "fixed": fixed.count(True), "unfixable": fixed.count(False)}


def check_stale_jobs(*, dry_run: bool = False) -> list[StaleJob]:
    """What :func:`stale_jobs` does, Job by Job; a `dry_run` tells what it would do, and does none.

    A running part, or a running Job without one, is silent when it was neither heard of nor sent
    again for `Job.STALLED_JOBS_MAX_MINUTES`, and no message of it waits. A claim takes it over;
    the one after the third that came to nothing fails the Job.
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


def running_job_snapshots() -> Findings:
    """Write a line on what serves it into the log of each running Job. Observes only."""
    running = list(Job.objects.filter(status__in=RUNNING).order_by("pk"))
    if running:
        answers = current_app.control.ping(timeout=PING_SECONDS) or []
        depth, workers = broker.depth(), len(answers)
        for job in running:
            job.logger.info("%s", _snapshot(job, depth=depth, workers=workers))
    return {"checked": len(running), "fixed": 0, "unfixable": 0}


def beat() -> Findings:
    """Note that Jobs were looked after, and look whether beat still ticks. Repairs nothing."""
    Pulse.record(Pulse.Name.HEALTH_CHECK)
    told = vitals.beat()
    if not told["ok"]:
        heard = "never heard of" if told["age"] is None else f"last heard of {told['age']} s ago"
        logger.warning("Beat does not tick; it was %s.", heard)
    return {"checked": 1, "fixed": 0, "unfixable": int(not told["ok"])}


SUB_CHECKS: dict[str, Callable[[], Findings]] = {
    "lost_enqueues": lost_enqueues,
    "stale_jobs": stale_jobs,
    "running_job_snapshots": running_job_snapshots,
    "beat": beat,
}


def _isolated(name: str, check: Callable[[], Findings]) -> Findings:
    try:
        return check()
    except Exception:
        logger.exception("The sub-check %s crashed.", name)
        drop_dead_connection()
        return {"checked": 0, "fixed": 0, "unfixable": 1}


def _queued_jobs() -> QuerySet[Job]:
    # A Job waits for one that is admitted, or has a lower id. Else that one has ended since, with
    # the message of its end lost, and was queued again: it may wait for this one by now.
    again = Q(waits_for__gt=F("pk"), waits_for__admitted_at=None)
    free = Q(waits_for=None) | Q(waits_for__status__in=FINAL) | again
    queued = Job.objects.filter(free, status__in=WAITING - {JobState.CREATED})
    return queued.only("task_id", "status", "updated_at").order_by("pk")


def _queued_parts() -> QuerySet[JobPart]:
    queued = JobPart.objects.filter(state=PartState.QUEUED, job__status=JobState.STARTED)
    fields = ("job__task_id", "number", "task_id", "state", "updated_at")
    return queued.select_related("job").only(*fields).order_by("pk")


def _lacking(rows: Sequence[Job | JobPart]) -> list[Job | JobPart]:
    """Those that no message in the broker tells of."""
    held = broker.find({task_id for row in rows for task_id in _messages(row)})
    return [row for row in rows if not (held.waiting | held.taken).intersection(_messages(row))]


def _messages(row: Job | JobPart) -> set[str]:
    """The message of a part's Job counts as well: it sends queued parts, and runs an only one."""
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
    """What to send again: silent parts, or the Job that has none; nothing where it is to end."""
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
    previous, fixed = job.status, False
    if not dry_run:
        if rows:
            fixed = all(_send_all(rows))
        elif previous == JobState.CANCELING:
            job.cancel()
        else:
            job.settle()
        job.refresh_from_db(fields=["status"])
    return {
        "job": job.pk,
        "action": "revoked" if previous == JobState.CANCELING else "updated",
        "previous_status": previous,
        "status": job.status,
        "fixed": fixed or job.is_final,
    }


def _send_all(rows: Iterable[Job | JobPart]) -> list[bool]:
    """Send each that is as it was seen; none after one that the broker refuses: trying is slow."""
    sent: list[bool] = []
    for row in rows:
        if not all(sent):
            sent.append(False)
        elif _take(row):
            sent.append(_send(row))
    return sent


def _take(row: Job | JobPart) -> bool:
    """Whether the row is as it was seen, so that this check is the one to send its message."""
    seen = {"pk": row.pk, "task_id": row.task_id, "updated_at": row.updated_at}
    row.task_id = row.task_id or str(uuid4())
    now = timezone.now()
    if isinstance(row, Job):
        jobs = Job.objects.filter(**seen, status=row.status)
        return bool(jobs.update(task_id=row.task_id, error="", updated_at=now))
    parts = JobPart.objects.filter(**seen, state=row.state)
    return bool(parts.update(task_id=row.task_id, updated_at=now))


def _send(row: Job | JobPart) -> bool:
    job, name = (row, f"Job {row.pk}") if isinstance(row, Job) else (row.job, str(row))
    try:
        if row.publish() is False:
            return False
    except BrokerError as error:
        job.logger.warning("%s waits for the broker: %s", name, error)
        return False
    job.logger.warning("Nobody had %s in hand; its message was sent again.", name)
    return True


def _snapshot(job: Job, *, depth: int, workers: int) -> str:
    summary = summary_of(job)
    states = ", ".join(f"{count} {state.label.lower()}" for state, count in summary.states.items())
    heard = max(filter(None, (summary.heartbeat_at, job.heartbeat_at)), default=None)
    age = f"{(timezone.now() - heard).total_seconds():.0f} s ago" if heard else "never"
    return (
        f"Messages in the queues: {depth}; workers that answer: {workers}; "
        f"parts: {states}; last sign of life: {age}."
    )
