"""What a test reads after a run: rows, counters, and what a revert left alone."""

from typing import Any

from ami.jobs.models import Job, JobChange
from ami.main.checks.declarations import CHECKS
from ami.main.models import Classification, Detection, Identification, Occurrence

JOURNALED = (Classification, Detection, Identification, Occurrence)


def rows() -> dict[str, list[dict[str, Any]]]:
    """The rows of the journaled tables, without `updated_at`."""
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name != "updated_at"}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in JOURNALED
    }


def exactly(tables: dict[str, list[Any]]) -> str:
    """The rows as text, in which NaN equals NaN and -0 differs from 0."""
    return repr(tables)


def stale_counts() -> list[Any]:
    """The captures, nights and deployments with wrong counts."""
    return [row for pair in CHECKS["stale_counts"].pairs for row in pair.get(None, None)]


def left(job: Job) -> list[tuple[str, int, str]]:
    """The rows that a revert left alone, each with the reason."""
    changes = job.changes.filter(kind=JobChange.Kind.LEFT).order_by("model", "object_id")
    return [(c.model, c.object_id, (c.after or {})["reason"]) for c in changes]
