"""By what the rows of a file are found in the database."""

from collections.abc import Iterator, Sequence
from itertools import product

from django.db import connection

from ami.main.models import Detection

STEP = 1e-5  # pixels, to which a box is rounded
TOLERANCE = 1e-6  # pixels, by which files write the same box differently

BoxKey = tuple[int, ...]

# Detections whose left edge is that of a wanted one on the same capture. A capture may have
# thousands of detections, so they are compared here.
SIMILAR = """
SELECT DISTINCT d.id
FROM unnest(%(captures)s::bigint[], %(lefts)s::float[]) wanted (capture_id, x)
JOIN main_detection d ON d.source_image_id = wanted.capture_id
WHERE d.bbox[1] BETWEEN wanted.x - %(by)s AND wanted.x + %(by)s AND cardinality(d.bbox) = 4
"""


def box_key(box: Sequence[float]) -> BoxKey:
    """What identifies a detection within its capture: its box, whatever its crop is called."""
    return tuple(round(number / STEP) for number in box)


def box_keys(box: Sequence[float]) -> Iterator[BoxKey]:
    """Yield the keys of all boxes that are the same within the tolerance, first its own."""
    yield box_key(box)
    near = TOLERANCE / STEP
    steps = [number / STEP for number in box]
    sides = [{round(step - near), round(step + near)} for step in steps]
    if any(len(side) > 1 for side in sides):
        yield from (key for key in product(*sides) if key != box_key(box))


def known_detections(
    captures: list[int], lefts: list[float]
) -> dict[tuple[int, BoxKey], Detection]:
    """Return the detections with these left edges on these captures, by capture and box.

    Of several with the same box, it is the oldest.
    """
    with connection.cursor() as cursor:
        cursor.execute(SIMILAR, {"captures": captures, "lefts": lefts, "by": STEP})
        ids = [pk for (pk,) in cursor.fetchall()]
    rows = Detection.objects.filter(pk__in=ids).order_by("-pk").defer("similarity_vector")
    return {(row.source_image_id, box_key(row.bbox or ())): row for row in rows}
