"""Repairs of the integrity checks as a Job: journaled, listed and reverted like any run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.utils import timezone

from ami.jobs.faults import drop_dead_connection
from ami.jobs.journal import journaled
from ami.jobs.models import Job
from ami.jobs.states import ClaimLostError, JobCanceledError, JobState, Outcome
from ami.main.checks.repair import RepairContext
from ami.users.models import User

JOB_TYPE = "data_integrity"


def repair_context(job: Job) -> RepairContext:
    """Repairs whose batches are those of `job`: in its journal, and ended when it is canceled."""
    return RepairContext(
        transaction=partial(_batch, job), interrupts=(JobCanceledError, ClaimLostError)
    )


@contextmanager
def repair_job(*, project_id: int | None = None, user: User | None = None) -> Iterator[Job]:
    """A Job that runs here, not in a worker, and ends with the block."""
    now = timezone.now()
    job = Job.objects.create(
        name="Repair of integrity faults",
        project_id=project_id,
        user=user,
        job_type_key=JOB_TYPE,
        status=JobState.STARTED,
        started_at=now,
        heartbeat_at=now,
    )
    try:
        yield job
    except JobCanceledError:
        job.finish(Outcome.CANCELED)
        raise
    except BaseException as error:
        drop_dead_connection()
        job.finish(Outcome.CRASHED, error=f"{type(error).__name__}: {error}")
        raise
    job.finish(Outcome.SUCCEEDED)


@contextmanager
def _batch(job: Job) -> Iterator[None]:
    job.raise_if_canceled()
    with journaled(job):
        yield
        job.checkpoint()
