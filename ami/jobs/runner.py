"""From a queued Job to its end: one worker claims it, runs it, and says how it ended."""

import logging
from uuid import uuid4

from django.db import connection
from django.utils import timezone

from ami.base.registry import UnknownKeyError
from ami.jobs.models import Job
from ami.jobs.registry import JOB_TYPES
from ami.jobs.states import WAITING, ClaimLostError, JobCanceledError, JobFailedError, JobState

logger = logging.getLogger(__name__)


def claim(job_id: int) -> Job | None:
    """Take a waiting Job for this worker. None where another one was first, or it has ended."""
    now = timezone.now()
    claimed = Job.objects.filter(pk=job_id, status__in=WAITING).update(
        status=JobState.STARTED,
        claim_token=uuid4(),
        error="",
        started_at=now,
        heartbeat_at=now,
        finished_at=None,
        updated_at=now,
    )
    return Job.objects.get(pk=job_id) if claimed else None


def run(job_id: int) -> None:
    """Run a Job to its end. Nothing happens where it does not wait for a worker."""
    job = claim(job_id)
    if job is None:
        logger.info("Job %s does not wait for a worker; its message is dropped.", job_id)
        return
    try:
        JOB_TYPES[job.job_type_key](job)
    except JobCanceledError:
        job.logger.warning("Canceled; what its batches have committed stays.")
        job.finish(JobState.REVOKED)
    except ClaimLostError as lost:
        logger.warning("%s This one stops.", lost)
    except (JobFailedError, UnknownKeyError) as failure:
        job.logger.error("%s", failure)
        job.finish(JobState.FAILURE, error=str(failure))
    except Exception as crash:
        if not connection.is_usable():  # the crash may be that of the connection
            connection.close()
        job.logger.exception("The run crashed.")
        job.finish(
            JobState.FAILURE,
            error=f"The run crashed: {type(crash).__name__}: {crash} (the log has the traceback).",
        )
    else:
        job.finish(JobState.SUCCESS)
