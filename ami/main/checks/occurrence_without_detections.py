"""Occurrences without detections."""

from collections.abc import Iterable

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection, Occurrence

IDENTIFIED = "It has identifications, and a repair never deletes rows made by people."

# Lock the rows in the order of their ids, as the determination does, to avoid deadlocks.
LOCK = """
SELECT id FROM main_occurrence WHERE id = ANY(%s) ORDER BY id FOR UPDATE
"""

# A separate statement sees what other transactions committed while the lock waited.
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
    """Occurrences without a detection."""
    detections = Detection.objects.filter(occurrence=OuterRef("pk"))
    return in_scope(
        Occurrence.objects.filter(~Exists(detections)), project_id, job_id, occurrence_ids
    )


def _delete(ids: list[int]) -> None:
    """Delete those without identifications."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [ids])
        cursor.execute(DELETE, [ids])


PAIR = Pair(get_occurrences_without_detections, _delete, IDENTIFIED)
reconcile_occurrences_without_detections = reconciler(
    "reconcile_occurrences_without_detections", PAIR
)

register(
    Check(
        key="occurrence_without_detections",
        title="Occurrence without detections",
        severity=Severity.WARNING,
        tag=Tag.OCCURRENCES,
        pairs=(PAIR,),
        meaning="The occurrence has no detections, so no capture shows the individual.",
        cause="Its captures or detections were deleted, or moved to another occurrence.",
        repair="Deletes the occurrence.",
        limits=(
            "An occurrence with an identification is never deleted, even if the identification is "
            "withdrawn. It is reported as unfixable; move or delete its identifications by hand."
        ),
    )
)
