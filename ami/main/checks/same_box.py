"""Detections of one capture with the same box."""

from collections.abc import Iterable

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection

# Boxes of one capture are compared only if their left sides round to the same pixel, so that the
# cost does not grow with the square of their number. A side that may round to two pixels is
# compared at both. Materialized, the boxes would be written to disk and read twice.
SAME = """
WITH box AS NOT MATERIALIZED (
    SELECT id, source_image_id, pixel, x1, y1, x2, y2
    FROM (
        SELECT id, source_image_id, floor(bbox[1] + 0.4999995) AS low,
               floor(bbox[1] + 0.5000005) AS high,
               bbox[1] AS x1, bbox[2] AS y1, bbox[3] AS x2, bbox[4] AS y2
        FROM main_detection
    ) d, unnest(CASE WHEN low = high THEN ARRAY[low] ELSE ARRAY[low, high] END) pixel
)
SELECT one.id FROM box one JOIN box other USING (source_image_id, pixel)
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
            "An export was imported twice with different paths of the crops, or a detector ran "
            "twice on the capture."
        ),
        repair=None,
        limits=(
            "All detections with the same box are found. They may have their own classifications "
            "and identifications, so a person must delete all but one. Equal boxes of two "
            "detectors are found as well."
        ),
    )
)
