"""How Jobs come into being."""

from collections.abc import Sequence
from functools import partial
from uuid import uuid4

from django.db import transaction

from ami.base.registry import UnknownKeyError
from ami.jobs.models import Job
from ami.jobs.registry import RUNS_AGAIN
from ami.jobs.states import JobFailedError, JobState
from ami.users.models import User


def create_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Insert all of the unsaved `jobs`, queued, or none; publish them on commit.

    Each task id is minted before its message goes out, so that no message is without its row.
    """
    for job in jobs:
        job.status = JobState.PENDING
        job.task_id = str(uuid4())
    with transaction.atomic():
        created = Job.objects.bulk_create(jobs)
        transaction.on_commit(partial(_publish, created))
    return created


class RunAgainRefusedError(Exception):
    """No new Job can be made with the options of the old one; the message says why."""


def can_run_again(job: Job) -> bool:
    """Whether `job` has ended, and is of a type of which there may be another one like it."""
    return job.is_final and job.job_type_key in RUNS_AGAIN


def run_again(job: Job, *, user: User | None = None) -> Job:
    """Queue a new Job with the options of `job`, which has ended and stays as it is.

    Raises RunAgainRefusedError.
    """
    refuse_to_run_again(job)
    try:
        return RUNS_AGAIN[job.job_type_key](job, user)
    except (JobFailedError, UnknownKeyError) as gone:
        raise RunAgainRefusedError(str(gone)) from None


def refuse_to_run_again(job: Job) -> None:
    """Raises RunAgainRefusedError where :func:`can_run_again` is false."""
    if not job.is_final:
        raise RunAgainRefusedError(f"Job {job.pk} has not ended; run it again after its end.")
    if not can_run_again(job):
        raise RunAgainRefusedError(
            f"Job {job.pk} is of the type {job.job_type_key!r}, which is not run again."
        )


def _publish(jobs: Sequence[Job]) -> None:
    """Send the messages, up to the first that the broker does not take: trying takes seconds."""
    for job in jobs:
        if not job.publish():
            unsent = Job.objects.filter(pk__in=[other.pk for other in jobs if other.pk > job.pk])
            unsent.filter(status=JobState.PENDING).update(error=job.error)
            return
