"""The cached counts of captures, nights and deployments, recounted from the rows."""

from collections.abc import Iterable

from django.db import connection

CAPTURES = """
UPDATE main_sourceimage s SET
    detections_count = (SELECT count(*) FROM main_detection d WHERE d.source_image_id = s.id)
WHERE s.id = ANY(%s)
"""

EVENTS = """
UPDATE main_event e SET
    captures_count = (SELECT count(*) FROM main_sourceimage s WHERE s.event_id = e.id),
    detections_count = (SELECT count(*) FROM main_detection d
                        JOIN main_sourceimage s ON s.id = d.source_image_id
                        WHERE s.event_id = e.id),
    occurrences_count = (SELECT count(*) FROM main_occurrence o WHERE o.event_id = e.id)
WHERE e.id = ANY(%s)
"""

DEPLOYMENTS = """
UPDATE main_deployment p SET
    events_count = (SELECT count(*) FROM main_event e WHERE e.deployment_id = p.id),
    captures_count = (SELECT count(*) FROM main_sourceimage s WHERE s.deployment_id = p.id),
    detections_count = (SELECT count(*) FROM main_detection d
                        JOIN main_sourceimage s ON s.id = d.source_image_id
                        WHERE s.deployment_id = p.id),
    occurrences_count = (SELECT count(*) FROM main_occurrence o WHERE o.deployment_id = p.id)
WHERE p.id = ANY(%s)
"""


def _recount(statement: str, ids: Iterable[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(ids)])


def update_capture_counts(capture_ids: Iterable[int]) -> None:
    _recount(CAPTURES, capture_ids)


def update_event_counts(event_ids: Iterable[int]) -> None:
    _recount(EVENTS, event_ids)


def update_deployment_counts(deployment_ids: Iterable[int]) -> None:
    _recount(DEPLOYMENTS, deployment_ids)
