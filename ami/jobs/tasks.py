from typing import Any

from celery import shared_task

from ami.jobs import parts, runner
from ami.jobs.faults import TRANSIENT

# A database that is away for a while costs no run: the message comes again, under its id.
AGAIN: dict[str, Any] = {
    "autoretry_for": TRANSIENT,
    "default_retry_delay": 5,
    "max_retries": None,
}


@shared_task(bind=True, **AGAIN)
def run_job(self: Any, job_id: int) -> None:
    """Run one queued Job, or hand out its parts."""
    runner.run(job_id, task_id=self.request.id)


@shared_task(bind=True, **AGAIN)
def run_part(self: Any, part_id: int) -> None:
    """Run one part of a Job."""
    parts.run(part_id, task_id=self.request.id)
