"""Handlers of Celery's signals in a worker."""

from typing import Any

from celery.signals import task_revoked, worker_process_init
from django.db import connection
from django.db.models import Q

from ami.base.garbage import spare_loaded_objects
from ami.jobs.models import Job


@task_revoked.connect
def cancel_revoked(request: Any, **kwargs: Any) -> None:
    """Cancel a Job whose message was revoked, for example in Flower, and will not be delivered."""
    jobs = Job.objects.filter(Q(task_id=request.id) | Q(parts__task_id=request.id)).distinct()
    try:
        for job in jobs:
            if job.cancel():
                job.logger.warning("Its message was revoked in Celery, which cancels the Job.")
    finally:
        connection.close()  # this process forks others, which must not inherit the connection


@worker_process_init.connect
def spare_loaded(**kwargs: Any) -> None:
    spare_loaded_objects()
