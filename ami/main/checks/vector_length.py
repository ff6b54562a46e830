"""Classifications with vectors that do not fit their category map."""

from collections.abc import Iterable

from django.db.models import Q, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import OfAnotherLength
from ami.main.checks.scopes import in_scope
from ami.main.models import Classification


def get_classifications_with_wrong_vectors(
    project_id: int | None = None,
    job_id: int | None = None,
    classification_ids: Iterable[int] | None = None,
) -> QuerySet[Classification]:
    """Classifications whose scores or logits differ in number from the labels of the map."""
    rows = Classification.objects.filter(
        Q(OfAnotherLength("scores"), scores__isnull=False)
        | Q(OfAnotherLength("logits"), logits__isnull=False),
        category_map__isnull=False,
    )
    return in_scope(rows, project_id, job_id, classification_ids)


PAIR = Pair(get_classifications_with_wrong_vectors)
reconcile_wrong_vectors = reconciler("reconcile_wrong_vectors", PAIR)

register(
    Check(
        key="vector_length",
        title="Vector of the wrong length",
        severity=Severity.ERROR,
        tag=Tag.CLASSIFICATIONS,
        pairs=(PAIR,),
        meaning=(
            "The classification's scores or logits have more or fewer numbers than its category "
            "map has labels, so the numbers cannot be assigned to classes. Class masking and rank "
            "rollup skip it."
        ),
        cause=(
            "The classification refers to the category map of another version of its algorithm, or "
            "the category map was edited."
        ),
        repair=None,
        limits="Classifications without a category map or without vectors are not a fault.",
    )
)
