"""Classifications that supersede themselves or a classification of another detection."""

from collections.abc import Iterable

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import loop_members
from ami.main.checks.scopes import in_scope
from ami.main.models import Classification

# The source is part of a loop, or belongs to another detection.
BROKEN = f"""{loop_members("main_classification", "applied_to_id")}
UNION ALL
SELECT c.id FROM main_classification c
JOIN main_classification source ON source.id = c.applied_to_id
WHERE source.detection_id <> c.detection_id
"""  # noqa: S608 -- constants


def get_classifications_with_broken_lineage(
    project_id: int | None = None,
    job_id: int | None = None,
    classification_ids: Iterable[int] | None = None,
) -> QuerySet[Classification]:
    """Those whose `applied_to` leads back to them, or belongs to another detection."""
    rows = Classification.objects.filter(pk__in=RawSQL(BROKEN, []))  # noqa: S611 -- a constant
    return in_scope(rows, project_id, job_id, classification_ids)


PAIR = Pair(get_classifications_with_broken_lineage)
reconcile_broken_lineages = reconciler("reconcile_broken_lineages", PAIR)

register(
    Check(
        key="broken_lineage",
        title="Broken lineage",
        severity=Severity.ERROR,
        tag=Tag.CLASSIFICATIONS,
        pairs=(PAIR,),
        meaning=(
            "Following `applied_to` from a classification to the one that it supersedes leads back "
            "to the same classification, or to another detection."
        ),
        cause=(
            "Classifications were moved between detections, or a person or a script has set "
            "`applied_to`."
        ),
        repair=None,
        limits="Every classification of a loop is found. One that only leads into a loop is not.",
    )
)
