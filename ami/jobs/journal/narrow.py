"""Undo what a Job changed of some occurrences only.

The rows of these occurrences are undone with all rows that share a detection or an occurrence with
them, such as those of occurrences that were merged: no occurrence is undone by half.
"""

from collections.abc import Collection
from typing import Any

from django.db import connection

from ami.base.ids import id_array
from ami.jobs.models import Job

# The batches in which the Job changed rows of the occurrences, and how many: rows that they have
# now, and rows that the Job moved, made or deleted.
BATCHES = """
WITH change AS MATERIALIZED (
    SELECT batch, model, object_id,
           COALESCE(before, '{}') AS before, COALESCE(after, '{}') AS after
    FROM jobs_jobchange WHERE job_id = %(job)s AND kind <> 'left'
), detection AS (
    SELECT id FROM main_detection WHERE occurrence_id = ANY(%(occurrences)s::bigint[])
    UNION
    SELECT object_id FROM change WHERE model = 'main.detection'
    AND ((before->>'occurrence_id')::bigint = ANY(%(occurrences)s::bigint[])
         OR (after->>'occurrence_id')::bigint = ANY(%(occurrences)s::bigint[]))
), own AS (
    SELECT 'main.occurrence' AS model, unnest(%(occurrences)s::bigint[]) AS id
    UNION ALL
    SELECT 'main.detection', id FROM detection
    UNION ALL
    SELECT 'main.classification', c.id
    FROM main_classification c JOIN detection d ON d.id = c.detection_id
    UNION ALL
    SELECT 'main.identification', id
    FROM main_identification WHERE occurrence_id = ANY(%(occurrences)s::bigint[])
)
SELECT batch, count(*) FROM change WHERE (model, object_id) IN (SELECT model, id FROM own)
   OR (model = 'main.identification'
       AND ((before->>'occurrence_id')::bigint = ANY(%(occurrences)s::bigint[])
            OR (after->>'occurrence_id')::bigint = ANY(%(occurrences)s::bigint[])))
   OR (model = 'main.classification'
       AND ((before->>'detection_id')::bigint IN (SELECT id FROM detection)
            OR (after->>'detection_id')::bigint IN (SELECT id FROM detection)))
GROUP BY batch
"""

# Keep only the rows that are connected with one of the occurrences.
NARROW = """
WITH RECURSIVE reached (model, object_id) AS (
    SELECT model, object_id FROM undo_unit
    WHERE kind = 'occurrence' AND unit = ANY(%s::bigint[])
    UNION
    SELECT m.model, m.object_id
    FROM reached JOIN undo_unit own USING (model, object_id)
    JOIN undo_unit m ON m.kind = own.kind AND m.unit = own.unit
)
DELETE FROM undo WHERE (model, object_id) NOT IN (SELECT model, object_id FROM reached)
"""


def batches_of(job: Job, occurrences: Collection[int]) -> dict[int, int]:
    """Return the batches in which the Job changed rows of these occurrences, and how many."""
    with connection.cursor() as cursor:
        cursor.execute(BATCHES, {"job": job.pk, "occurrences": id_array(occurrences)})
        return dict(cursor.fetchall())


def narrow(cursor: Any, occurrences: Collection[int]) -> None:
    """Forget the collected changes of all other occurrences; their units are known."""
    cursor.execute(NARROW, [id_array(occurrences)])
