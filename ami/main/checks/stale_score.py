"""Occurrences with the right taxon and a wrong score."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, reconcile
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.determinations import FAULTS, score_is_stale, update_determinations
from ami.main.models import Occurrence


def get_occurrences_with_stale_score(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
) -> QuerySet[Occurrence]:
    """Occurrences with the taxon that the rule gives, but with another score."""
    return in_scope(Occurrence.objects.all(), project_id, job_id, occurrence_ids).filter(
        score_is_stale()
    )


def reconcile_stale_scores(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Apply the determination rule to them."""
    rows = get_occurrences_with_stale_score(project_id, job_id, occurrence_ids)
    return reconcile(rows, update_determinations, dry_run=dry_run, context=context)


register(
    Check(
        key="stale_score",
        title="Stale determination score",
        severity=Severity.WARNING,
        tag=Tag.DETERMINATIONS,
        pairs=(
            Pair(
                get_occurrences_with_stale_score,
                reconcile_stale_scores,
                OnePass(FAULTS, "score"),
            ),
        ),
        meaning=(
            "The occurrence has the correct taxon with a wrong score: that of a classification "
            "that was deleted or demoted, or a score other than 1 for an identification."
        ),
        cause="The same as for a [stale determination](stale_determination.md).",
        repair="Applies the [determination rule](../rows.md#determination), which sets the score.",
    )
)
