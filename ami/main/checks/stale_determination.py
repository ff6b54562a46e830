"""Occurrences with another taxon than the determination rule gives."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
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


PAIR = Pair(
    get_occurrences_with_stale_determination,
    update_determinations,
    one_pass=OnePass(FAULTS, "taxon"),
)
reconcile_stale_determinations = reconciler("reconcile_stale_determinations", PAIR)

register(
    Check(
        key="stale_determination",
        title="Stale determination",
        severity=Severity.ERROR,
        tag=Tag.DETERMINATIONS,
        pairs=(PAIR,),
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
