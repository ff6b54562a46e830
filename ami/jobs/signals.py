"""What a worker hears of Celery and a Job would miss."""

from typing import Any

from celery.signals import task_revoked
from django.db import connection
from django.db.models import Q

from ami.jobs.models import Job


@task_revoked.connect
def cancel_revoked(request: Any, **kwargs: Any) -> None:
    """Cancel the Job whose message was revoked in Celery, as from Flower: it comes no more."""
    jobs = Job.objects.filter(Q(task_id=request.id) | Q(parts__task_id=request.id)).distinct()
    try:
        for job in jobs:
            if job.cancel():
                job.logger.warning("Its message was revoked in Celery, which cancels the Job.")
    finally:
        connection.close()  # in the process from which others are forked
