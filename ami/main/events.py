"""Nights: the captures of a deployment from one noon to the next."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import connection, transaction

from ami.main.counts import update_event_counts

if TYPE_CHECKING:
    from ami.main.models.deployment import Deployment
    from ami.main.models.event import Event

UPSERT_NIGHTS = """
INSERT INTO main_event (created_at, updated_at, project_id, deployment_id, group_by, start, "end",
                        captures_count, detections_count, occurrences_count)
SELECT now(), now(), %(project)s, %(deployment)s,
       ((timestamp AT TIME ZONE %(zone)s) - interval '12 hours')::date::text AS night,
       min(timestamp), max(timestamp), 0, 0, 0
FROM main_sourceimage
WHERE deployment_id = %(deployment)s AND timestamp IS NOT NULL
GROUP BY night
ORDER BY night
ON CONFLICT (deployment_id, group_by) DO UPDATE
SET start = excluded.start, "end" = excluded."end", updated_at = now()
RETURNING id
"""

ASSIGN_CAPTURES = """
UPDATE main_sourceimage s
SET event_id = e.id, updated_at = now()
FROM main_event e
WHERE s.deployment_id = %(deployment)s AND e.deployment_id = %(deployment)s
  AND e.group_by = ((s.timestamp AT TIME ZONE %(zone)s) - interval '12 hours')::date::text
  AND s.event_id IS DISTINCT FROM e.id
"""

TIMES = """
UPDATE main_event e
SET start = seen.first, "end" = seen.last, updated_at = now()
FROM (SELECT event_id, min(timestamp) AS first, max(timestamp) AS last
      FROM main_sourceimage WHERE event_id = ANY(%s) GROUP BY event_id) seen
WHERE e.id = seen.event_id AND (e.start, e."end") IS DISTINCT FROM (seen.first, seen.last)
"""


def update_event_times(event_ids: Iterable[int]) -> None:
    """Let each night start with its first capture and end with its last."""
    with connection.cursor() as cursor:
        cursor.execute(TIMES, [list(event_ids)])


def group_images_into_events(deployment: "Deployment") -> "list[Event]":
    """Put every capture with a time into its night, and return the nights that have any.

    A night runs from noon to noon in the deployment's time zone and is named after the date of
    its evening. Captures without a time stay where they are; nights that lost their last
    capture are kept, for occurrences may hang on them. Cached counts are refreshed.
    """
    named = {
        "deployment": deployment.pk,
        "project": deployment.project_id,
        "zone": deployment.time_zone,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(UPSERT_NIGHTS, named)
        nights = [pk for (pk,) in cursor.fetchall()]
        cursor.execute(ASSIGN_CAPTURES, named)
        update_event_counts(deployment.events.values_list("pk", flat=True))
    return list(deployment.events.filter(pk__in=nights).order_by("group_by"))
