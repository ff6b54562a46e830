"""How commands print a Job; docs/reference/schemas/ describes the JSON."""

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
    "warnings": [],
    "error": "",
}


def outcome_of(job: Job) -> dict[str, Any]:
    """A Job as JSON, with the keys of `BLANK`."""
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
        "figures": job.progress.figures,
        "warnings": warnings_of(job),
        "error": job.error or job.waits,
    }


def write_outcome(job: Job, out: OutputWrapper, err: OutputWrapper) -> None:
    """Write the state and the figures of a Job to `out`, its error and warnings to `err`."""
    word = job.get_outcome_display() or job.get_status_display()
    out.write(f"Job {job.pk}{' (dry run)' if job.dry_run else ''}: {word}.")
    if reason := job.error or job.waits:
        err.write(reason)
    for warning in warnings_of(job):
        err.write(warning)
    for name, value in job.progress.figures.items():
        out.write(f"  {name}: {value}")


def warnings_of(job: Job) -> list[str]:
    """The warnings of a run, as sentences."""
    return [*job.progress.warnings, *job.basis_changes]
