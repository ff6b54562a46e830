"""Occurrences with the right taxon and a wrong score."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, reconcile
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.determinations import score_is_stale, update_determinations
from ami.main.models import Occurrence


def get_occurrences_with_stale_score(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
) -> QuerySet[Occurrence]:
    """Those whose taxon is the rule's and whose score is not."""
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
    """Apply the rule to them."""
    rows = get_occurrences_with_stale_score(project_id, job_id, occurrence_ids)
    return reconcile(rows, update_determinations, dry_run=dry_run, context=context)


register(
    Check(
        key="stale_score",
        title="Stale determination score",
        severity=Severity.WARNING,
        tag=Tag.DETERMINATIONS,
        pairs=(Pair(get_occurrences_with_stale_score, reconcile_stale_scores),),
        meaning=(
            "The occurrence has the right taxon with the score of something else: of a "
            "classification that is gone or demoted, or another than 1 where a person decided."
        ),
        cause=(
            "As for a [stale determination](stale_determination.md); the taxon happens to be the "
            "same."
        ),
        repair="Applies the [determination rule](../rows.md#determination), which sets the score.",
    )
)
