from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task
from django.db import Error

from ami.jobs import health, parts, runner
from ami.jobs.faults import is_transient
from ami.jobs.health import Findings, check_stale_jobs

__all__ = ["check_stale_jobs", "jobs_health_check", "run_job", "run_part"]

PATIENCE: dict[str, Any] = {"default_retry_delay": 5, "max_retries": None}


@shared_task(bind=True, **PATIENCE)
def run_job(self: Any, job_id: int) -> None:
    """Run one queued Job, or hand out its parts."""
    with _again_later(self):
        runner.run(job_id, task_id=self.request.id)


@shared_task(bind=True, **PATIENCE)
def run_part(self: Any, part_id: int) -> None:
    """Run one part of a Job."""
    with _again_later(self):
        parts.run(part_id, task_id=self.request.id)


@shared_task
def jobs_health_check() -> dict[str, Findings]:
    """Look after queued and running Jobs; scheduled every 15 minutes."""
    return health.check_all()


@contextmanager
def _again_later(task: Any) -> Iterator[None]:
    """A database that is away for a while costs no run: the message comes again, under its id."""
    try:
        yield
    except Error as error:
        if not is_transient(error):
            raise
        raise task.retry(exc=error) from None
