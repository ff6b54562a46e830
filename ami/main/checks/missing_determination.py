"""Occurrences with classifications or identifications but without a determination."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, reconcile
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.determinations import FAULTS, taxon_is_stale, update_determinations
from ami.main.models import Occurrence


def get_occurrences_missing_determination(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
) -> QuerySet[Occurrence]:
    """Occurrences without a determination for which the rule gives one.

    They are sorted like the index on the determination, which is by id because all are null.
    """
    rows = in_scope(
        Occurrence.objects.filter(determination=None), project_id, job_id, occurrence_ids
    )
    return rows.filter(taxon_is_stale()).order_by("determination_id", "pk")


def reconcile_missing_determinations(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Apply the determination rule to them."""
    rows = get_occurrences_missing_determination(project_id, job_id, occurrence_ids)
    return reconcile(rows, update_determinations, dry_run=dry_run, context=context)


register(
    Check(
        key="missing_determination",
        title="Occurrence without a determination",
        severity=Severity.ERROR,
        tag=Tag.DETERMINATIONS,
        pairs=(
            Pair(
                get_occurrences_missing_determination,
                reconcile_missing_determinations,
                OnePass(FAULTS, "missing"),
            ),
        ),
        meaning=(
            "The occurrence has a classification, or an identification that is not withdrawn, with "
            "a taxon, but no determination. It is missing from every list and count by taxon."
        ),
        cause=(
            "Classifications were written without applying the rule, for example by a script or by "
            "a pipeline that was killed, or a taxon was deleted."
        ),
        repair="Applies the [determination rule](../rows.md#determination) to the occurrence.",
        limits="Occurrences without any taxon to choose from are not a fault.",
    )
)
