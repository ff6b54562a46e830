"""Jobs and parts in any state, including silent ones."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.states import PartState
from ami.jobs.tests.job_types import make_job

LONG_AGO = timezone.now() - timedelta(minutes=Job.STALLED_JOBS_MAX_MINUTES + 1)


def queued_job(**fields: Any) -> Job:
    return make_job(**{"task_id": str(uuid4()), **fields})


def running_job(**fields: Any) -> Job:
    now = timezone.now()
    running = {"status": JobState.STARTED, "claim_token": uuid4(), "heartbeat_at": now}
    return queued_job(**{**running, **fields})


def make_part(job: Job, state: PartState, **fields: Any) -> JobPart:
    return JobPart.objects.create(
        job=job, number=job.parts.count() + 1, state=state, task_id=str(uuid4()), **fields
    )


def silence(*rows: Job | JobPart) -> None:
    for row in rows:
        type(row).objects.filter(pk=row.pk).update(heartbeat_at=LONG_AGO, updated_at=LONG_AGO)
