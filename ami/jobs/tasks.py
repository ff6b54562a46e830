from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import Error

from ami.base.ids import RowId
from ami.jobs.engine import runner
from ami.jobs.engine.faults import is_transient
from ami.jobs.models import Pulse
from ami.jobs.states import StillRunsError
from ami.jobs.watch import health
from ami.jobs.watch.health import Findings
from ami.jobs.watch.stale import check_stale_jobs

__all__ = [
    "check_stale_jobs",
    "jobs_health_check",
    "run_job",
    "run_part",
    "run_whole",
    "tick",
]

AGAIN_SECONDS = 30
PATIENCE: dict[str, Any] = {"default_retry_delay": 5, "max_retries": None}


@shared_task(bind=True, **PATIENCE)
def run_job(self: Any, job_id: RowId) -> None:
    """Run the part that starts a Job; a direct call runs work of one call in this process."""
    with _again_later(self):
        runner.run(job_id, task_id=self.request.id, hand_over=not _is_here(self))


@shared_task(
    bind=True,
    soft_time_limit=settings.OWN_RUN_TIME_LIMIT,
    time_limit=settings.OWN_RUN_TIME_LIMIT + settings.OWN_RUN_CLEAN_UP,
    **PATIENCE,
)
def run_whole(self: Any, part_id: RowId) -> None:
    """Run the part of a Job whose work takes long: one call, or a batch, may take hours."""
    with _again_later(self):
        try:
            runner.run_part(part_id, task_id=self.request.id, only_silent=True)
        except StillRunsError:
            raise self.retry(countdown=AGAIN_SECONDS) from None


@shared_task(bind=True, **PATIENCE)
def run_part(self: Any, part_id: RowId) -> None:
    """Run one part of a Job."""
    with _again_later(self):
        runner.run_part(part_id, task_id=self.request.id, hand_over=not _is_here(self))


@shared_task
def jobs_health_check() -> dict[str, Findings]:
    """Check and repair queued and running Jobs; scheduled every 15 minutes."""
    return health.check_all()


@shared_task
def tick() -> None:
    """Record that beat, the broker, a worker and the database work, and find lost messages.

    Scheduled every minute.
    """
    Pulse.record(Pulse.Name.TICK)
    health.check_messages()


def _is_here(task: Any) -> bool:
    return bool(task.request.called_directly or task.request.is_eager)


@contextmanager
def _again_later(task: Any) -> Iterator[None]:
    """After a transient database error, send the message again later, with the same id."""
    try:
        yield
    except Error as error:
        if not is_transient(error):
            raise
        raise task.retry(exc=error) from None
