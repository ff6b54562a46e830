"""The classifications that others of the same detection and algorithm make faulty, in one pass."""

# Most detections have one classification per algorithm. To find the few others first costs less
# than to compare each classification with all of its detection.
FAULTS = """
WITH several AS MATERIALIZED (
    SELECT detection_id, algorithm_id FROM main_classification
    GROUP BY detection_id, algorithm_id HAVING count(*) > 1
)
SELECT DISTINCT fault, c.id
FROM several
JOIN main_classification c ON c.detection_id = several.detection_id
     AND c.algorithm_id IS NOT DISTINCT FROM several.algorithm_id
JOIN main_classification other ON other.detection_id = c.detection_id AND other.id <> c.id
     AND other.algorithm_id IS NOT DISTINCT FROM c.algorithm_id
CROSS JOIN LATERAL (VALUES
    ('copy', other.id < c.id AND (other.taxon_id, other.score, other.applied_to_id)
                                 IS NOT DISTINCT FROM (c.taxon_id, c.score, c.applied_to_id)),
    ('outdated', c.terminal AND other.terminal AND c.algorithm_id IS NOT NULL
                 AND (other.timestamp, other.id) > (c.timestamp, c.id))
) compared (fault, is_faulty)
WHERE is_faulty
"""
