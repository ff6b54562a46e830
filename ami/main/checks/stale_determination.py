"""Occurrences whose taxon is not the one that the rule gives."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, reconcile
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.determinations import taxon_is_stale, update_determinations
from ami.main.models import Occurrence


def get_occurrences_with_stale_determination(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
) -> QuerySet[Occurrence]:
    """Those with a determination where the rule gives another one, or none."""
    rows = Occurrence.objects.filter(determination__isnull=False)
    return in_scope(rows, project_id, job_id, occurrence_ids).filter(taxon_is_stale())


def reconcile_stale_determinations(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Apply the rule to them."""
    rows = get_occurrences_with_stale_determination(project_id, job_id, occurrence_ids)
    return reconcile(rows, update_determinations, dry_run=dry_run, context=context)


register(
    Check(
        key="stale_determination",
        title="Stale determination",
        severity=Severity.ERROR,
        tag=Tag.DETERMINATIONS,
        pairs=(Pair(get_occurrences_with_stale_determination, reconcile_stale_determinations),),
        meaning=(
            "The occurrence is held for another taxon than its identifications and "
            "classifications say, or for one that none of them says."
        ),
        cause=(
            "Classifications, identifications or detections that were changed or deleted without "
            "the rule being applied; a taxon whose `identifiable` was changed."
        ),
        repair=(
            "Applies the [determination rule](../rows.md#determination) to the occurrence; where "
            "it gives none, taxon and score are cleared."
        ),
        limits="No identification and no classification is changed.",
    )
)
