"""Terminal classifications with a newer terminal one of the same algorithm."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
from ami.main.checks.same_algorithm import FAULTS
from ami.main.checks.scopes import in_scope
from ami.main.determinations import update_determinations
from ami.main.models import Classification


def get_classifications_left_terminal(
    project_id: int | None = None,
    job_id: int | None = None,
    classification_ids: Iterable[int] | None = None,
) -> QuerySet[Classification]:
    """Terminal classifications with a newer one of the same algorithm and detection."""
    newer = Classification.objects.filter(
        Q(timestamp__gt=OuterRef("timestamp"))
        | Q(timestamp=OuterRef("timestamp"), pk__gt=OuterRef("pk")),
        detection=OuterRef("detection"),
        algorithm=OuterRef("algorithm"),
        terminal=True,
    )
    rows = Classification.objects.filter(Exists(newer), terminal=True)
    return in_scope(rows, project_id, job_id, classification_ids)


def _demote(ids: list[int]) -> None:
    """Demote all but the newest."""
    rows = get_classifications_left_terminal().filter(pk__in=ids)
    rows.update(terminal=False, updated_at=Now())
    update_determinations(Classification.objects.filter(pk__in=ids).occurrence_ids())


PAIR = Pair(get_classifications_left_terminal, _demote, one_pass=OnePass(FAULTS, "outdated"))
reconcile_several_terminal = reconciler("reconcile_several_terminal", PAIR)

register(
    Check(
        key="several_terminal",
        title="Several terminal classifications",
        severity=Severity.ERROR,
        tag=Tag.CLASSIFICATIONS,
        pairs=(PAIR,),
        meaning=(
            "Two classifications of one algorithm for one detection are both marked as final "
            "results. All but the newest are faulty."
        ),
        cause=(
            "A pipeline ran twice and did not demote its former results, or rows were imported "
            "again."
        ),
        repair=(
            "Makes the older ones intermediate, and applies the [determination "
            "rule](../rows.md#determination) to their occurrences."
        ),
        limits=(
            "The newest one stays terminal, whatever its score. Classifications without an "
            "algorithm are left alone. Exact copies are "
            "[duplicates](duplicate_classification.md), which are merged first."
        ),
    )
)
