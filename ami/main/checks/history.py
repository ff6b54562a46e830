"""What is kept of runs, and what is known of their findings."""

from collections.abc import Collection
from datetime import timedelta

from django.utils import timezone

from ami.main.checks.declarations import Check, Pair
from ami.main.models import IntegrityAcknowledgement, IntegrityResult, IntegrityRun

KEPT = timedelta(days=90)
CHUNK = 100


def acknowledged_rows(
    check: Check, project_id: int | None, job_id: int | None, result: IntegrityResult
) -> int:
    """How many of the rows that remain are known to be at fault.

    All, where an acknowledgement stands for all projects or for that of the run; else those of
    the projects for which one stands.
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
    """Those at fault in one of the projects; a row may be of two, and counts once."""
    first, *others = (
        pair.get(project_id, job_id).order_by().values("pk") for project_id in project_ids
    )
    return first.union(*others).count()


def prune_history(*, older_than: timedelta = KEPT) -> int:
    """Delete the runs that began longer ago, a chunk at a time; return how many there were."""
    old = IntegrityRun.objects.filter(created_at__lt=timezone.now() - older_than)
    pruned = 0
    while ids := list(old.order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        IntegrityRun.objects.filter(pk__in=ids).delete()
        pruned += len(ids)
    return pruned
