"""The announced and the actual results of a revert, for comparison."""

from collections import Counter

from ami.jobs.journal.revert import COUNTERS, foretell
from ami.jobs.models import Job, JobChange
from ami.testing.foretelling import tables

# The table, the reason, and the Job or the user because of whom.
Cause = tuple[str, str, int | None, int | None]


def foretold(job: Job) -> tuple[dict[str, int], Counter[Cause]]:
    """The announced counters, and the rows left alone with reasons; nothing is written."""
    before = tables()
    undone = foretell(job)
    assert tables() == before
    counters = dict.fromkeys(COUNTERS.values(), 0)
    left: Counter[Cause] = Counter()
    for one in undone:
        counters[COUNTERS[one.fate]] += one.rows
        if one.reason:
            left[one.model, one.reason, one.by_job, one.by_user] += one.rows
    return counters, left


def done(job: Job) -> tuple[dict[str, int], Counter[Cause]]:
    """The same for a revert that has ended, from its counters and its journal."""
    told = job.progress.figures
    counters = {name: told[name.capitalize().replace("_", " ")] for name in COUNTERS.values()}
    left: Counter[Cause] = Counter()
    for change in job.changes.filter(kind=JobChange.Kind.LEFT):
        after = change.after or {}
        left[change.model, after["reason"], after.get("job"), after.get("user")] += 1
    assert counters["rows_left_alone"] == left.total()
    return counters, left
