"""The grouping of captures into nights, which begin at noon or at a time of the deployment."""

from collections.abc import Iterable

from django.db import connection, transaction

from ami.main.counts import refresh_counts

# A night is named after the date on which it begins: that of the local time, had it begun at
# midnight.
NIGHT = "((s.timestamp AT TIME ZONE d.time_zone) - d.night_starts::interval)::date::text"
INSERT_NIGHTS = f"""
INSERT INTO main_event (created_at, updated_at, project_id, deployment_id, group_by,
                        captures_count, detections_count, occurrences_count)
SELECT DISTINCT now(), now(), d.project_id, d.id,
       {NIGHT} AS night, 0, 0, 0
FROM main_sourceimage s JOIN main_deployment d ON d.id = s.deployment_id
WHERE d.id = %(deployment)s AND s.timestamp IS NOT NULL
ORDER BY night
ON CONFLICT (deployment_id, group_by) DO NOTHING
"""  # noqa: S608 -- constants

# A capture that is in its night already is not written again.
MOVE_CAPTURES = f"""
UPDATE main_sourceimage s
SET event_id = e.id, updated_at = now()
FROM main_event e JOIN main_deployment d ON d.id = e.deployment_id
WHERE s.deployment_id = %(deployment)s AND d.id = %(deployment)s
  AND e.group_by = {NIGHT}
  AND s.event_id IS DISTINCT FROM e.id
RETURNING s.id
"""  # noqa: S608 -- constants

# Occurrences are locked in the order of their ids, as for the determination, to avoid deadlocks.
# An occurrence follows its first capture.
MOVE_OCCURRENCES = """
WITH touched AS (
    SELECT id FROM main_occurrence
    WHERE id IN (SELECT occurrence_id FROM main_detection WHERE source_image_id = ANY(%s))
    ORDER BY id FOR NO KEY UPDATE
), first AS (
    SELECT DISTINCT ON (d.occurrence_id) d.occurrence_id, s.event_id
    FROM main_detection d
    JOIN main_sourceimage s ON s.id = d.source_image_id
    JOIN touched ON touched.id = d.occurrence_id
    WHERE s.event_id IS NOT NULL
    ORDER BY d.occurrence_id, s.timestamp, d.id
)
UPDATE main_occurrence o SET event_id = first.event_id, updated_at = now()
FROM first WHERE o.id = first.occurrence_id AND o.event_id IS DISTINCT FROM first.event_id
"""

# Nights are locked in the order of their ids, as for the counts, to avoid deadlocks.
HOLD_EVENTS = "SELECT FROM main_event WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE"

# Writes only nights whose times have changed.
TIMES = """
UPDATE main_event e
SET start = seen.first, "end" = seen.last, updated_at = now()
FROM (SELECT event_id, min(timestamp) AS first, max(timestamp) AS last
      FROM main_sourceimage
      WHERE event_id = ANY(%(ids)s) AND timestamp IS NOT NULL GROUP BY event_id) seen
WHERE e.id = seen.event_id AND (e.start, e."end") IS DISTINCT FROM (seen.first, seen.last)
"""


def update_event_times(event_ids: Iterable[int]) -> None:
    """Set the start and end of each night to the times of its first and last capture."""
    with connection.cursor() as cursor:
        named = {"ids": list(event_ids)}
        cursor.execute(HOLD_EVENTS, named)
        cursor.execute(TIMES, named)


def group_captures(deployment_id: int) -> None:
    """Assign every capture of a deployment that has a time to its night.

    A night begins at the deployment's `night_starts`, in its time zone, and is named after the date
    on which it begins. Occurrences follow their first capture. Captures without a time are not
    changed, and nights without remaining captures are kept. A second call changes nothing.
    """
    named = {"deployment": deployment_id}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(INSERT_NIGHTS, named)
        cursor.execute(MOVE_CAPTURES, named)
        cursor.execute(MOVE_OCCURRENCES, [[pk for (pk,) in cursor.fetchall()]])
        cursor.execute("SELECT id FROM main_event WHERE deployment_id = %(deployment)s", named)
        update_event_times([pk for (pk,) in cursor.fetchall()])
        refresh_counts()
