"""Create Jobs, and run them again."""

from collections.abc import Sequence
from functools import partial

from django.contrib.admin.models import ADDITION
from django.db import IntegrityError, transaction

from ami.base.audit import Kind, record
from ami.base.registry import UnknownKeyError
from ami.jobs import transitions
from ami.jobs.engine.registry import RUNS_AGAIN
from ami.jobs.models import Job, JobPart
from ami.jobs.states import JobFailedError, JobState
from ami.users.models import User

LAUNCH = "jobs.add_job"  # the permission to run methods, apply, revert, and run again


def create_jobs(jobs: Sequence[Job], *, kind: Kind = Kind.START, reason: str = "") -> list[Job]:
    """Insert all of the unsaved `jobs` as queued, or none; publish them on commit.

    They are recorded as started, or as another `kind`, by their user and for the `reason`.
    Each task id is created and stored before the message is sent, so that each message has a row.
    Raises AlreadyLaunchedError if one of their launch keys has been used.
    """
    with transaction.atomic():
        created = _insert(jobs)
        parts = JobPart.objects.bulk_create(map(JobPart.first, created))
        record_start(created, kind=kind, reason=reason)
        transaction.on_commit(partial(_publish, parts))
    return created


def _insert(jobs: Sequence[Job]) -> list[Job]:
    try:
        with transaction.atomic():
            return Job.objects.bulk_create(map(transitions.as_queued, jobs))
    except IntegrityError:
        keys = [job.launch_key for job in jobs if job.launch_key]
        former = Job.objects.filter(launch_key__in=keys).order_by("pk")
        if not former:
            raise
        raise AlreadyLaunchedError([job.pk for job in former]) from None


def record_start(jobs: Sequence[Job], *, kind: Kind = Kind.START, reason: str = "") -> None:
    """Record new Jobs of one user; those that are dry runs as such."""
    for dry_run in (True, False):
        record(
            [job for job in jobs if job.dry_run == dry_run],
            kind=Kind.DRY_RUN if dry_run else kind,
            user=jobs[0].user if jobs else None,
            message="Started as a dry run." if dry_run else "Started.",
            reason=reason,
            flag=ADDITION,
        )


class RunAgainRefusedError(Exception):
    """The Job cannot be run again; the message says why."""


class AlreadyLaunchedError(Exception):
    """The same form was submitted before; `job_ids` holds the ids of the Jobs that it created."""

    def __init__(self, job_ids: list[int]) -> None:
        super().__init__("These Jobs were already launched.")
        self.job_ids = job_ids


class ApplyRefusedError(Exception):
    """The Job cannot be applied as it stands; the message says why."""


class ScopeChangedError(Exception):
    """The scope has changed since the dry run; `changes` holds one sentence per change."""

    def __init__(self, changes: list[str]) -> None:
        super().__init__(" ".join(changes))
        self.changes = changes


def can_run_again(job: Job) -> bool:
    """Whether `job` has ended and its type can be run again."""
    return job.is_final and job.job_type_key in RUNS_AGAIN


def run_again(job: Job, *, user: User | None = None) -> Job:
    """Queue a new Job with the options of `job`, which must have ended and does not change.

    Raises RunAgainRefusedError.
    """
    refuse_to_run_again(job)
    try:
        again = RUNS_AGAIN[job.job_type_key](job, user)
    except (JobFailedError, UnknownKeyError) as gone:
        raise RunAgainRefusedError(str(gone)) from None
    record([job], kind=Kind.RUN_AGAIN, user=user, message=f"Run again as Job {again.pk}.")
    return again


def refuse_to_run_again(job: Job) -> None:
    """Raises RunAgainRefusedError if :func:`can_run_again` is false."""
    if not job.is_final:
        raise RunAgainRefusedError(f"Job {job.pk} has not ended; run it again after its end.")
    if not can_run_again(job):
        raise RunAgainRefusedError(
            f"Job {job.pk} has the type {job.job_type_key!r}, which cannot be run again."
        )


def _publish(parts: Sequence[JobPart]) -> None:
    """Send the messages; stop at the first that fails, because each failure takes seconds."""
    for part in parts:
        if not part.publish():
            unsent = [other.job_id for other in parts if other.job_id > part.job_id]
            queued = Job.objects.filter(pk__in=unsent, status=JobState.PENDING)
            queued.update(unsent=part.job.unsent)
            return
