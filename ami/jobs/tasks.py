from celery import shared_task

from ami.jobs import runner


@shared_task
def run_job(job_id: int) -> None:
    """Run one queued Job."""
    runner.run(job_id)
