"""From a queued Job to its parts: one worker claims it, plans them, and hands them out."""

import logging
from uuid import uuid4

from django.db import Error, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from ami.base.registry import UnknownKeyError
from ami.base.storable import storable_text
from ami.jobs import parts
from ami.jobs.admission import admit
from ami.jobs.faults import drop_dead_connection, is_transient
from ami.jobs.journal import journaled_session
from ami.jobs.models import Job, JobPart
from ami.jobs.registry import JOB_TYPES, WorkFactory
from ami.jobs.states import (
    WAITING,
    ClaimLostError,
    JobCanceledError,
    JobFailedError,
    JobState,
    Outcome,
    PartState,
)
from ami.jobs.work import PlannedWork, WholeWork

logger = logging.getLogger(__name__)


def claim(job_id: int, *, task_id: str | None = None) -> Job | None:
    """Take a waiting Job for this worker, or a running one whose message `task_id` came again.

    None where another worker was first, it has ended, or a newer message was sent for it.
    """
    now, token = timezone.now(), uuid4()
    mine = Q(status__in=WAITING)
    if task_id:
        mine = Q(status__in=WAITING | {JobState.STARTED}, task_id=task_id)
    Job.objects.filter(mine, pk=job_id).update(
        status=JobState.STARTED,
        claim_token=token,
        attempts=F("attempts") + 1,
        error="",
        started_at=Coalesce(F("started_at"), now),
        heartbeat_at=now,
        finished_at=None,
        updated_at=now,
    )
    return Job.objects.filter(pk=job_id, claim_token=token).first()


def run(job_id: int, *, task_id: str | None = None, make: WorkFactory | None = None) -> None:
    """Run a queued Job: whole where it is small, else as far as handing out its parts.

    `make` makes its work, in place of what its type registers, for one that somebody looks on at.
    """
    job = claim(job_id, task_id=task_id)
    if job is None:
        logger.info("Job %s does not wait for a worker; its message is dropped.", job_id)
        _end_canceled(job_id, task_id)
        return
    try:
        _begin(job, make or JOB_TYPES[job.job_type_key])
    except JobCanceledError:
        job.logger.warning("Canceled; what it has committed stays.")
        job.finish(Outcome.CANCELED)
    except ClaimLostError as lost:
        logger.warning("%s This one stops.", lost)
    except (JobFailedError, UnknownKeyError) as failure:
        job.logger.error("%s", failure)
        job.finish(Outcome.FAILED, error=storable_text(failure))
    except Exception as crash:
        if is_transient(crash):
            raise
        _crash(job, crash)


def _begin(job: Job, make: WorkFactory) -> None:
    if job.is_worn_out:
        told = parts.worn_out(f"Job {job.pk}", claims=job.attempts, missed="its end")
        raise JobFailedError(told)
    work = make(job)
    if job.dry_run and isinstance(work, WholeWork):
        raise JobFailedError(f"{work.name} has a run of its own, which cannot be tried; run it.")
    parts.open_stage(job, work)
    if not admit(job, work):
        return
    if isinstance(work, WholeWork):
        _run_whole(job, work)
    else:
        _plan(job, work)
        _hand_out(job)


def _end_canceled(job_id: int, task_id: str | None) -> None:
    """End a Job whose worker was lost before it had parts, and that was canceled meanwhile."""
    lost = Job.objects.filter(pk=job_id, task_id=task_id, status=JobState.CANCELING, parts=None)
    for job in lost:
        job.finish(Outcome.CANCELED)


def _run_whole(job: Job, work: WholeWork) -> None:
    try:
        with journaled_session(job):
            work.run()
    except Error as crash:  # it has transactions of its own: how far it came, nobody knows
        _crash(job, crash)
    else:
        job.finish(Outcome.SUCCEEDED)


def _plan(job: Job, work: PlannedWork) -> None:
    """Cut the work into parts, unless an earlier worker has."""
    if job.parts.exists():
        return
    planned = parts.plan_parts(job, work)
    with transaction.atomic():
        if not Job.objects.select_for_update().filter(pk=job.pk, claim_token=job.claim_token):
            raise ClaimLostError(f"Job {job.pk} is held by another worker, or was ended.")
        JobPart.objects.bulk_create(planned)
    rows = sum(part.rows_total for part in planned)
    batches = sum(len(part.batches) for part in planned)
    job.logger.info("Rows in scope: %d, in batches: %d, in parts: %d.", rows, batches, len(planned))


def _hand_out(job: Job) -> None:
    """Send a message for each part; an only part is run at once."""
    queued = list(job.parts.order_by("number"))
    if len(queued) == 1:
        parts.run(queued[0].pk, task_id=queued[0].task_id)
        return
    for part in queued:
        if part.state != PartState.QUEUED:
            continue
        try:
            part.publish()
        except BrokerError as error:
            job.logger.warning("%s and those after it wait for the broker: %s", part, error)
            return
    job.settle()  # a worker may have been killed between the end of the last part and this


def _crash(job: Job, crash: Exception) -> None:
    drop_dead_connection()
    job.logger.exception("The run crashed.")
    job.finish(Outcome.CRASHED, error=parts.crash_sentence(crash))
