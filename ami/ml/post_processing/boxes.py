"""The faults and the sizes of boxes, in SQL."""

# Branches of a CASE over the columns `bbox`, the frame's `width` and `height`, and the corners
# `x1`, `y1`, `x2`, `y2` as a method computes them. Each branch relies on those before it.
BOX_FAULTS = """
        WHEN bbox IS NULL THEN 'no box'
        WHEN (cardinality(bbox) = 4 AND 'Infinity' > ALL (bbox) AND '-Infinity' < ALL (bbox))
             IS NOT TRUE THEN 'box is not four finite numbers'
        WHEN (width > 0 AND height > 0) IS NOT TRUE THEN 'frame without width or height'
        WHEN x2 <= x1 OR y2 <= y1 THEN 'box is empty or inverted'
"""

# Reasons to skip come first, so that only sound boxes are measured. With OFFSET 0, the corners, the
# faults and the areas are computed once per row and not at each use. The sides are at least 1e-100
# because PostgreSQL raises an error if a product underflows.
SIZED = """
WITH box AS (
    SELECT d.*, s.timestamp, s.deployment_id, s.event_id,
           s.width::float8 AS width, s.height::float8 AS height,
           LEAST(GREATEST(d.bbox[1], 0), COALESCE(s.width, 0)) AS x1,
           LEAST(GREATEST(d.bbox[2], 0), COALESCE(s.height, 0)) AS y1,
           LEAST(GREATEST(d.bbox[3], 0), COALESCE(s.width, 0)) AS x2,
           LEAST(GREATEST(d.bbox[4], 0), COALESCE(s.height, 0)) AS y2
    FROM ({detections}) d JOIN main_sourceimage s ON s.id = d.source_image_id
    OFFSET 0
), checked AS (
    SELECT *, CASE {faults} END AS fault FROM box OFFSET 0
), sized AS (
    SELECT *, CASE WHEN fault IS NULL THEN
        GREATEST(x2 - x1, 1e-100) * GREATEST(y2 - y1, 1e-100) / (width * height) END AS area
    FROM checked
    OFFSET 0
)
"""


def sized(detections: str) -> str:
    """The beginning of a query with the table `sized`.

    It has the columns of the query `detections`, among them `id`, `source_image_id` and `bbox`, the
    `timestamp`, `deployment_id`, `event_id`, `width` and `height` of the capture, the corners `x1`,
    `y1`, `x2` and `y2` of the box within the frame, its `fault`, and its `area` as a share of the
    frame.
    """
    return SIZED.format(detections=detections, faults=BOX_FAULTS)
