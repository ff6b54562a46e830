"""Occurrences with another taxon than the determination rule gives."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, reconcile
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.determinations import FAULTS, taxon_is_stale, update_determinations
from ami.main.models import Occurrence


def get_occurrences_with_stale_determination(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
) -> QuerySet[Occurrence]:
    """Occurrences with a determination for which the rule gives another one, or none."""
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
    """Apply the determination rule to them."""
    rows = get_occurrences_with_stale_determination(project_id, job_id, occurrence_ids)
    return reconcile(rows, update_determinations, dry_run=dry_run, context=context)


register(
    Check(
        key="stale_determination",
        title="Stale determination",
        severity=Severity.ERROR,
        tag=Tag.DETERMINATIONS,
        pairs=(
            Pair(
                get_occurrences_with_stale_determination,
                reconcile_stale_determinations,
                OnePass(FAULTS, "taxon"),
            ),
        ),
        meaning=(
            "The determination of the occurrence does not follow from its identifications and "
            "classifications."
        ),
        cause=(
            "Classifications, identifications or detections were changed or deleted without "
            "applying the rule, or *Identifiable* was changed for a taxon."
        ),
        repair=(
            "Applies the [determination rule](../rows.md#determination) to the occurrence. If the "
            "rule gives no taxon, taxon and score are cleared."
        ),
        limits="Identifications and classifications are not changed.",
    )
)
