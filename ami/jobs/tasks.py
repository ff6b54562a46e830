from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task
from django.db import Error

from ami.jobs import health, parts, runner
from ami.jobs.faults import is_transient
from ami.jobs.health import Findings, check_stale_jobs
from ami.jobs.integrity import check_integrity
from ami.jobs.models import Pulse

__all__ = [
    "check_data_integrity",
    "check_stale_jobs",
    "data_integrity_check",
    "jobs_health_check",
    "run_job",
    "run_part",
    "tick",
]

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


@shared_task
def tick() -> None:
    """Tell that beat, the broker, a worker and the database all do their part; every minute."""
    Pulse.record(Pulse.Name.TICK)


@shared_task
def data_integrity_check(
    project_id: int | None = None,
    job_id: int | None = None,
    dry_run: bool = True,
    *,
    checks: Iterable[str] = (),
    tags: Iterable[str] = (),
    user_id: int | None = None,
) -> dict[str, dict[str, int]]:
    """Look for faults in the rows of a scope; `dry_run=False` repairs them, as a Job."""
    return check_integrity(
        project_id, job_id, dry_run=dry_run, keys=checks, tags=tags, user_id=user_id
    )


# By its other name, for schedules and messages that have that one.
check_data_integrity = shared_task(name=f"{__name__}.check_data_integrity")(
    data_integrity_check.run
)


@contextmanager
def _again_later(task: Any) -> Iterator[None]:
    """A database that is away for a while costs no run: the message comes again, under its id."""
    try:
        yield
    except Error as error:
        if not is_transient(error):
            raise
        raise task.retry(exc=error) from None
