"""Occurrences with classifications or identifications but without a determination."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.determinations import FAULTS, taxon_is_known, update_determinations
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
    return rows.filter(taxon_is_known()).order_by("determination_id", "pk")


PAIR = Pair(
    get_occurrences_missing_determination,
    update_determinations,
    one_pass=OnePass(FAULTS, "missing"),
)
reconcile_missing_determinations = reconciler("reconcile_missing_determinations", PAIR)

register(
    Check(
        key="missing_determination",
        title="Occurrence without a determination",
        severity=Severity.ERROR,
        tag=Tag.DETERMINATIONS,
        pairs=(PAIR,),
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
