"""Start a queued Job: a worker claims it, plans its parts, and sends their messages."""

import logging
from datetime import datetime, timedelta

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import Error, transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from ami.base.registry import UnknownKeyError
from ami.base.storable import storable_text
from ami.jobs import transitions
from ami.jobs.engine import basis, heart, parts
from ami.jobs.engine.admission import admit
from ami.jobs.engine.faults import drop_dead_connection, is_transient
from ami.jobs.engine.registry import JOB_TYPES, WorkFactory
from ami.jobs.engine.work import PlannedWork, WholeWork
from ami.jobs.journal.triggers import journaled_session
from ami.jobs.models import Job
from ami.jobs.states import (
    ClaimLostError,
    JobCanceledError,
    JobFailedError,
    JobState,
    Outcome,
    PartState,
    StillRunsError,
)

logger = logging.getLogger(__name__)


def claim(job_id: int, *, task_id: str | None = None, only_silent: bool = False) -> Job | None:
    """Claim a waiting Job, or a running Job whose message `task_id` was delivered again.

    With `only_silent`, claim a running Job only if its heartbeat is older than SILENT_SECONDS.
    Returns None if another worker was first, the Job has ended, or a newer message was sent for it.
    """
    job = Job.objects.filter(pk=job_id).first()
    silent_since = _silence() if only_silent else None
    return (
        job if job and transitions.start(job, task_id=task_id, silent_since=silent_since) else None
    )


def run(
    job_id: int,
    *,
    task_id: str | None = None,
    make: WorkFactory | None = None,
    hand_over: bool = False,
    only_silent: bool = False,
) -> None:
    """Run a queued Job: work of one call to its end, other work until its parts are sent.

    `make` makes the work instead of the registered factory, so that a caller can follow it; a
    single part then runs to its end in this process. With `hand_over`, work of one call is passed
    to a task with its own time limits. With `only_silent`, raises StillRunsError if the Job runs
    and its worker has a recent heartbeat.
    """
    job = claim(job_id, task_id=task_id, only_silent=only_silent)
    if job is None:
        if only_silent and _still_runs(job_id, task_id):
            raise StillRunsError(f"Job {job_id} still runs.")
        logger.info("Job %s is not waiting for a worker; its message is dropped.", job_id)
        _end_canceled(job_id, task_id)
        return
    try:
        _begin(job, make, hand_over=hand_over)
    except JobCanceledError:
        job.logger.warning("Canceled; committed changes stay.")
        transitions.finish(job, Outcome.CANCELED)
    except ClaimLostError as lost:
        logger.warning("%s This worker stops.", lost)
    except (JobFailedError, UnknownKeyError) as failure:
        job.logger.error("%s", failure)
        transitions.finish(job, Outcome.FAILED, error=storable_text(failure))
    except Exception as crash:
        if is_transient(crash):
            raise
        _crash(job, crash)


def _begin(job: Job, make: WorkFactory | None, *, hand_over: bool) -> None:
    if job.is_worn_out:
        told = parts.worn_out(f"Job {job.pk}", claims=job.attempts, missed="its end")
        raise JobFailedError(told)
    work = (make or JOB_TYPES[job.job_type_key])(job)
    if job.dry_run and isinstance(work, WholeWork):
        raise JobFailedError(f"{work.name} does not support dry runs.")
    if isinstance(work, WholeWork) and hand_over:
        _hand_over(job)
        return
    parts.open_stage(job, work)
    if not admit(job, work):
        return
    if isinstance(work, PlannedWork) and job.parts.exists():  # an earlier worker planned it
        _hand_out(job, make)
        return
    if isinstance(work, PlannedWork):
        basis.fix(work)
    if reason := work.nothing_to_do():
        job.logger.info("Nothing to do: %s", reason)
        transitions.finish(job, Outcome.NOTHING, error=reason)
    elif isinstance(work, WholeWork):
        _run_whole(job, work)
    else:
        _plan(job, work)
        _hand_out(job, make)


def _end_canceled(job_id: int, task_id: str | None) -> None:
    """End a Job that was canceled after its worker was lost, before it had parts."""
    lost = Job.objects.filter(pk=job_id, task_id=task_id, status=JobState.CANCELING, parts=None)
    for job in lost:
        transitions.finish(job, Outcome.CANCELED)


def _silence() -> datetime:
    return timezone.now() - timedelta(seconds=heart.SILENT_SECONDS)


def _still_runs(job_id: int, task_id: str | None) -> bool:
    running = Job.objects.filter(status__in=(JobState.STARTED, JobState.CANCELING))
    return running.filter(pk=job_id, task_id=task_id, heartbeat_at__gte=_silence()).exists()


def _hand_over(job: Job) -> None:
    """Queue the Job for the task with the time limits of whole work.

    It gets a new task id, so that its first message has no effect if it is delivered again.
    """
    if not transitions.hand_over(job):
        job.raise_if_canceled()
        raise ClaimLostError(f"Job {job.pk} is held by another worker or has ended.")
    job.publish("ami.jobs.tasks.run_whole")


def _run_whole(job: Job, work: WholeWork) -> None:
    if job.attempts > 1:
        job.logger.warning("Its worker was lost; the run starts again, attempt %d.", job.attempts)
    try:
        with journaled_session(job), heart.beating(job), job.logger.rows.in_bulk():
            work.run()
    except SoftTimeLimitExceeded:
        hours = settings.OWN_RUN_TIME_LIMIT / 3600
        raise JobFailedError(
            f"{work.name} reached the time limit of {hours:g} hours (OWN_RUN_TIME_LIMIT). "
            "Committed changes stay."
        ) from None
    except Error as crash:  # it has its own transactions, so its progress is unknown
        _crash(job, crash)
    else:
        transitions.finish(job, Outcome.SUCCEEDED)


def _plan(job: Job, work: PlannedWork) -> None:
    """Split the work into parts, and store them with its basis."""
    planned = parts.plan_parts(job, work)
    with transaction.atomic():
        if not job.lock(Q(claim_token=job.claim_token)):
            raise ClaimLostError(f"Job {job.pk} is held by another worker or has ended.")
        basis.store(job, work)
        transitions.store_plan(planned)
    rows = sum(part.rows_total for part in planned)
    batches = sum(len(part.batches) for part in planned)
    job.logger.info("Rows in scope: %d, in batches: %d, in parts: %d.", rows, batches, len(planned))


def _hand_out(job: Job, make: WorkFactory | None) -> None:
    """Send a message for each part; run a single part at once."""
    queued = list(job.parts.order_by("number"))
    if len(queued) == 1:
        parts.run(queued[0].pk, task_id=queued[0].task_id, make=make)
        return
    for part in queued:
        if part.state != PartState.QUEUED:
            continue
        try:
            part.publish()
        except BrokerError as error:
            job.logger.warning("%s and those after it wait for the broker: %s", part, error)
            return
    # A worker may have been killed between the last part and the end of the Job.
    transitions.settle(job)


def _crash(job: Job, crash: Exception) -> None:
    drop_dead_connection()
    job.logger.exception("The run crashed.")
    transitions.finish(job, Outcome.CRASHED, error=parts.crash_sentence(crash))
