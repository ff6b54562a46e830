"""Occurrences that no detection belongs to."""

from collections.abc import Iterable

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, reconcile
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection, Occurrence

IDENTIFIED = "It has identifications; what people made is never deleted."

LOCK = """
SELECT id FROM main_occurrence WHERE id = ANY(%s) ORDER BY id FOR UPDATE
"""

# A statement of its own: it sees what those committed that the lock waited for.
DELETE = """
DELETE FROM main_occurrence o
WHERE id = ANY(%s)
  AND NOT EXISTS (SELECT FROM main_detection WHERE occurrence_id = o.id)
  AND NOT EXISTS (SELECT FROM main_identification WHERE occurrence_id = o.id)
"""


def get_occurrences_without_detections(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
) -> QuerySet[Occurrence]:
    """Those without a detection."""
    detections = Detection.objects.filter(occurrence=OuterRef("pk"))
    return in_scope(
        Occurrence.objects.filter(~Exists(detections)), project_id, job_id, occurrence_ids
    )


def reconcile_occurrences_without_detections(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Delete those that no person has identified."""
    rows = get_occurrences_without_detections(project_id, job_id, occurrence_ids)
    return reconcile(
        rows,
        _delete,
        dry_run=dry_run,
        context=context,
        otherwise=IDENTIFIED,
    )


def _delete(ids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [ids])
        cursor.execute(DELETE, [ids])


register(
    Check(
        key="occurrence_without_detections",
        title="Occurrence without detections",
        severity=Severity.WARNING,
        tag=Tag.OCCURRENCES,
        pairs=(Pair(get_occurrences_without_detections, reconcile_occurrences_without_detections),),
        meaning="The occurrence stands for an individual that no capture shows.",
        cause=(
            "Captures or detections that were deleted; detections that were moved to another "
            "occurrence, which left this one empty."
        ),
        repair="Deletes the occurrence.",
        limits=(
            "An occurrence with an identification, be it withdrawn, is never deleted: it is "
            "reported as unfixable, and a person moves or deletes the identifications."
        ),
    )
)
