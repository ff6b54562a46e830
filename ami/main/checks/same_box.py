"""Detections of one capture with the same box."""

from collections.abc import Iterable

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection

# Two boxes can only be the same if their left sides are, so that only boxes whose left side is that
# of their neighbour are compared, when the boxes of a capture are sorted by it. Their number does
# not grow with the square of the number of boxes on a capture.
SAME = """
WITH near AS MATERIALIZED (
    SELECT id, source_image_id, x1, y1, x2, y2
    FROM (
        SELECT id, source_image_id, x1, bbox[2] AS y1, bbox[3] AS x2, bbox[4] AS y2,
               least(x1 - lag(x1) OVER side_by_side, lead(x1) OVER side_by_side - x1) AS distance
        FROM (SELECT id, source_image_id, bbox, bbox[1] AS x1 FROM main_detection) d
        WINDOW side_by_side AS (PARTITION BY source_image_id ORDER BY x1)
    ) d
    WHERE distance <= 1e-6
)
SELECT one.id FROM near one JOIN near other USING (source_image_id)
WHERE one.id <> other.id
  AND abs(one.x1 - other.x1) <= 1e-6 AND abs(one.y1 - other.y1) <= 1e-6
  AND abs(one.x2 - other.x2) <= 1e-6 AND abs(one.y2 - other.y2) <= 1e-6
"""


def get_detections_with_same_box(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
) -> QuerySet[Detection]:
    """Detections with the same box as another one of the capture, to a millionth of a pixel."""
    rows = Detection.objects.filter(pk__in=RawSQL(SAME, []))  # noqa: S611 -- a constant
    return in_scope(rows, project_id, job_id, detection_ids)


PAIR = Pair(get_detections_with_same_box)
reconcile_same_boxes = reconciler("reconcile_same_boxes", PAIR)

register(
    Check(
        key="same_box",
        title="Two detections with the same box",
        severity=Severity.WARNING,
        tag=Tag.CAPTURES,
        pairs=(PAIR,),
        meaning=(
            "Another detection of the same capture has the same box, to a millionth of a pixel: "
            "one individual is counted twice."
        ),
        cause=(
            "A detector ran twice on the capture, two detectors found the same box, or both rows "
            "were copied from an Antenna database. Imports of files do not cause it, because they "
            "compare boxes."
        ),
        repair=None,
        limits=(
            "All detections with the same box are found. They may have their own classifications "
            "and identifications, so a person must delete all but one. Equal boxes of two "
            "detectors are found as well."
        ),
    )
)
