"""Occurrences with the right taxon and a wrong score."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
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


PAIR = Pair(
    get_occurrences_with_stale_score, update_determinations, one_pass=OnePass(FAULTS, "score")
)
reconcile_stale_scores = reconciler("reconcile_stale_scores", PAIR)

register(
    Check(
        key="stale_score",
        title="Stale determination score",
        severity=Severity.WARNING,
        tag=Tag.DETERMINATIONS,
        pairs=(PAIR,),
        meaning=(
            "The occurrence has the correct taxon with a wrong score: that of a classification "
            "that was deleted or demoted, or a score other than 1 for an identification."
        ),
        cause="The same as for a [stale determination](stale_determination.md).",
        repair="Applies the [determination rule](../rows.md#determination), which sets the score.",
    )
)
