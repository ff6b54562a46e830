"""Detections with classifications but without an occurrence."""

from collections.abc import Iterable

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.determinations import update_determinations
from ami.main.models import Classification, Detection

# Takes the ids of the new occurrences from the sequence first, so that each detection is paired
# with its own occurrence.
GIVE = """
WITH orphan AS (
    SELECT id, source_image_id FROM main_detection
    WHERE id = ANY(%s) AND occurrence_id IS NULL
    ORDER BY id FOR NO KEY UPDATE
), numbered AS (
    SELECT orphan.id, nextval(pg_get_serial_sequence('main_occurrence', 'id')) AS occurrence_id,
           s.event_id, s.deployment_id, s.project_id
    FROM orphan JOIN main_sourceimage s ON s.id = orphan.source_image_id
), made AS (
    INSERT INTO main_occurrence (
        id, created_at, updated_at, event_id, deployment_id, project_id)
    SELECT occurrence_id, now(), now(), event_id, deployment_id, project_id FROM numbered
)
UPDATE main_detection d SET occurrence_id = numbered.occurrence_id, updated_at = now()
FROM numbered WHERE d.id = numbered.id
RETURNING d.occurrence_id
"""


def get_detections_without_occurrence(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
) -> QuerySet[Detection]:
    """Detections with classifications that belong to no occurrence."""
    classifications = Classification.objects.filter(detection=OuterRef("pk"))
    rows = Detection.objects.filter(Exists(classifications), occurrence=None)
    return in_scope(rows, project_id, job_id, detection_ids)


def _give_occurrences(ids: list[int]) -> None:
    """Create one occurrence for each of them."""
    with connection.cursor() as cursor:
        cursor.execute(GIVE, [ids])
        given = [pk for (pk,) in cursor.fetchall()]
    update_determinations(given)


PAIR = Pair(get_detections_without_occurrence, _give_occurrences)
reconcile_detections_without_occurrence = reconciler(
    "reconcile_detections_without_occurrence", PAIR
)

register(
    Check(
        key="detection_without_occurrence",
        title="Detection without an occurrence",
        severity=Severity.WARNING,
        tag=Tag.OCCURRENCES,
        pairs=(PAIR,),
        meaning=(
            "The detection is classified but belongs to no occurrence. It is missing from all "
            "lists and counts of occurrences."
        ),
        cause=(
            "A pipeline was killed between classifying and grouping, or an occurrence was deleted."
        ),
        repair=(
            "Creates one occurrence per detection, with the night, deployment and project of its "
            "capture, and computes its determination."
        ),
        limits=(
            "Detections of one individual are not joined; use tracking for that. Detections "
            "without a classification are left alone."
        ),
    )
)
