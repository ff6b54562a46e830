"""How commands tell of a Job; the JSON is described in docs/reference/schemas/."""

from typing import Any

from django.core.management.base import OutputWrapper

from ami.jobs.models import Job
from ami.jobs.summary import summary_of

BLANK: dict[str, Any] = {
    "job": None,
    "name": "",
    "status": None,
    "outcome": None,
    "dry_run": False,
    "rows": {"total": 0, "done": 0, "failed": 0},
    "skipped": 0,
    "figures": {},
    "error": "",
}


def outcome_of(job: Job) -> dict[str, Any]:
    """A Job for programs, with the keys of `BLANK`."""
    summary = summary_of(job)
    return {
        "job": job.pk,
        "name": job.name,
        "status": job.status,
        "outcome": job.outcome or None,
        "dry_run": job.dry_run,
        "rows": {
            "total": summary.rows_total,
            "done": summary.rows_done,
            "failed": summary.rows_failed,
        },
        "skipped": job.progress.skipped,
        "figures": _figures(job),
        "error": job.error,
    }


def write_outcome(job: Job, out: OutputWrapper, err: OutputWrapper) -> None:
    """A Job for people: its state and figures, and on `err` why it failed or waits."""
    word = job.get_outcome_display() or job.get_status_display()
    out.write(f"Job {job.pk}{' (dry run)' if job.dry_run else ''}: {word}.")
    if job.error:
        err.write(job.error)
    for name, value in _figures(job).items():
        out.write(f"  {name}: {value}")


def _figures(job: Job) -> dict[str, Any]:
    return {name: value for stage in job.progress.stages for name, value in stage.figures}
