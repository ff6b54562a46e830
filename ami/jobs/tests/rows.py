"""Jobs and parts in any state, including silent ones."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.states import WAITING, PartState
from ami.jobs.tests.job_types import make_job
from ami.jobs.transitions import carrier

LONG_AGO = timezone.now() - timedelta(minutes=Job.STALLED_JOBS_MAX_MINUTES + 1)


def queued_job(**fields: Any) -> Job:
    """A Job with the part that starts it; without parts if it is in a state other than queued."""
    job = make_job(**{"task_id": str(uuid4()), **fields})
    if job.status in WAITING:
        JobPart.first(job).save()
    return job


def running_job(**fields: Any) -> Job:
    return queued_job(**{"status": JobState.STARTED, **fields})


def claim(job_id: int, *, task_id: str | None = None) -> Job | None:
    """Claim the part that starts a Job, as a worker does; returns the Job."""
    part = JobPart.claim(carrier(Job.objects.get(pk=job_id)).pk, task_id=task_id)
    return part.job if part else None


def held_part(**fields: Any) -> JobPart:
    """The first part of a running Job, held by a worker that has not planned it."""
    part = carrier(running_job(**fields))
    part.state, part.claim_token, part.attempts = PartState.RUNNING, uuid4(), 1
    part.heartbeat_at = timezone.now()
    part.save()
    return part


def make_part(job: Job, state: PartState, **fields: Any) -> JobPart:
    return JobPart.objects.create(
        job=job, number=job.parts.count() + 1, state=state, task_id=str(uuid4()), **fields
    )


def silence(*rows: Job | JobPart) -> None:
    for row in rows:
        if isinstance(row, JobPart):
            JobPart.objects.filter(pk=row.pk).update(heartbeat_at=LONG_AGO)
        type(row).objects.filter(pk=row.pk).update(updated_at=LONG_AGO)
