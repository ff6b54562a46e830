"""How Jobs come into being."""

from collections.abc import Sequence
from functools import partial
from uuid import uuid4

from django.db import transaction

from ami.jobs.models import Job
from ami.jobs.states import JobState


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


def _publish(jobs: Sequence[Job]) -> None:
    """Send the messages, up to the first that the broker does not take: trying takes seconds."""
    for job in jobs:
        if not job.publish():
            unsent = Job.objects.filter(pk__in=[other.pk for other in jobs if other.pk > job.pk])
            unsent.filter(status=JobState.PENDING).update(error=job.error)
            return
