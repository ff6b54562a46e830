"""The history of runs, and the acknowledgements of their findings."""

from collections.abc import Collection
from datetime import timedelta

from django.utils import timezone

from ami.integrity.models import IntegrityAcknowledgement, IntegrityResult, IntegrityRun
from ami.main.checks.declarations import Check, Pair

KEPT = timedelta(days=90)
RUNS_AT_ONCE = 100


def acknowledged_rows(
    check: Check, project_id: int | None, job_id: int | None, result: IntegrityResult
) -> int:
    """Return how many of the remaining rows are acknowledged.

    These are all rows if there is an acknowledgement for all projects or for the run's project,
    and otherwise the rows of the projects with an acknowledgement.
    """
    if not result.remaining:
        return 0
    standing = IntegrityAcknowledgement.objects.standing(check.key)
    projects = set(standing.values_list("project", flat=True))
    if None in projects or project_id in projects:
        return result.remaining
    if project_id is not None or not projects:
        return 0
    known = sum(_known_rows(pair, projects, job_id) for pair in check.pairs)
    return min(known, result.remaining)


def _known_rows(pair: Pair, project_ids: Collection[int], job_id: int | None) -> int:
    """Count the faulty rows of the projects; a row of two projects counts once."""
    first, *others = (
        pair.get(project_id, job_id).order_by().values("pk") for project_id in project_ids
    )
    return first.union(*others).count()


def prune_history(*, older_than: timedelta = KEPT) -> int:
    """Delete runs that began longer ago, 100 at a time, and return their number."""
    old = IntegrityRun.objects.filter(created_at__lt=timezone.now() - older_than)
    pruned = 0
    while ids := list(old.order_by("pk").values_list("pk", flat=True)[:RUNS_AT_ONCE]):
        IntegrityRun.objects.filter(pk__in=ids).delete()
        pruned += len(ids)
    return pruned
