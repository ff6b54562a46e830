"""The faults of detections and classifications that depend on their captures, in one pass."""

from ami.main.checks.expressions import SoundBox

TOLERANCE = 1  # pixel

# Nearly all boxes are larger than a pixel and lie within their capture, which is cheap to test. The
# conditions of the checks are evaluated only for the others. A size that is unknown limits no box.
#
# A classification is faulty if it has neither the project of its detection nor that of the capture,
# which is looked up for few of them, or if it has that of a detection that is faulty itself.
FAULTS = f"""
WITH odd AS MATERIALIZED (
    SELECT d.id, bbox, {SoundBox.template % {"expressions": "bbox"}} AS is_sound, width, height,
           d.project_id, s.project_id AS project_of_capture
    FROM main_detection d JOIN main_sourceimage s ON s.id = d.source_image_id
    WHERE d.project_id IS DISTINCT FROM s.project_id OR bbox IS NOT NULL AND (
        cardinality(bbox) = 4 AND 0 <= ALL (bbox)
        AND bbox[1] + 1 < bbox[3] AND bbox[3] <= COALESCE(NULLIF(width, 0), 1e9)
        AND bbox[2] + 1 < bbox[4] AND bbox[4] <= COALESCE(NULLIF(height, 0), 1e9)
    ) IS NOT TRUE
)
SELECT 'invalid', id FROM odd WHERE NOT is_sound AND bbox IS NOT NULL
UNION ALL
SELECT 'fractions', id FROM odd
WHERE is_sound AND (bbox[3] < bbox[1] + 1 AND bbox[4] < bbox[2] + 1
                    OR bbox[1] >= 0 AND bbox[2] >= 0 AND bbox[3] <= 1 AND bbox[4] <= 1)
UNION ALL
SELECT 'outside', id FROM odd
WHERE is_sound AND width > 0 AND height > 0
  AND (bbox[1] < -{TOLERANCE} OR bbox[3] > width + {TOLERANCE}
       OR bbox[2] < -{TOLERANCE} OR bbox[4] > height + {TOLERANCE})
UNION ALL
SELECT 'detection', id FROM odd WHERE project_id IS DISTINCT FROM project_of_capture
UNION ALL
SELECT 'classification', c.id
FROM main_classification c JOIN main_detection d ON d.id = c.detection_id
WHERE c.project_id IS DISTINCT FROM d.project_id
  AND c.project_id IS DISTINCT FROM (
      SELECT project_id FROM main_sourceimage WHERE id = d.source_image_id)
UNION ALL
SELECT 'classification', c.id
FROM odd d JOIN main_classification c ON c.detection_id = d.id
WHERE d.project_id IS DISTINCT FROM project_of_capture
  AND c.project_id IS NOT DISTINCT FROM d.project_id
"""  # noqa: S608 -- constants
