"""Occurrences that are classified or identified, and have no determination."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, reconcile
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.determinations import taxon_is_stale, update_determinations
from ami.main.models import Occurrence


def get_occurrences_missing_determination(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
) -> QuerySet[Occurrence]:
    """Those without a determination for which the rule gives one.

    They come in the order of the index on the determination: all of it null, that of their ids.
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
    """Apply the rule to them."""
    rows = get_occurrences_missing_determination(project_id, job_id, occurrence_ids)
    return reconcile(rows, update_determinations, dry_run=dry_run, context=context)


register(
    Check(
        key="missing_determination",
        title="Occurrence without a determination",
        severity=Severity.ERROR,
        tag=Tag.DETERMINATIONS,
        pairs=(Pair(get_occurrences_missing_determination, reconcile_missing_determinations),),
        meaning=(
            "The occurrence has a classification or a standing identification with a taxon, but "
            "no taxon of its own. It is missing from every list and count by taxon."
        ),
        cause=(
            "Classifications that were written without the rule being applied: an import or a "
            "script of one's own, a pipeline that was killed, a taxon that was deleted."
        ),
        repair="Applies the [determination rule](../rows.md#determination) to the occurrence.",
        limits="Occurrences that nobody has given a taxon have none by right, and are not found.",
    )
)
