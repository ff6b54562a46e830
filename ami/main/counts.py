"""The cached counts of captures, nights and deployments, recounted from the rows."""

from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import Func, IntegerField

# A table's counts, each counted for the row whose id stands for %(expressions)s.
CAPTURES = {
    "detections_count": """(
        SELECT count(*) FROM main_detection d WHERE d.source_image_id = %(expressions)s)""",
}
EVENTS = {
    "captures_count": """(
        SELECT count(*) FROM main_sourceimage s WHERE s.event_id = %(expressions)s)""",
    "detections_count": """(
        SELECT count(*) FROM main_detection d JOIN main_sourceimage s ON s.id = d.source_image_id
        WHERE s.event_id = %(expressions)s)""",
    "occurrences_count": """(
        SELECT count(*) FROM main_occurrence o WHERE o.event_id = %(expressions)s)""",
}
DEPLOYMENTS = {
    "events_count": """(
        SELECT count(*) FROM main_event e WHERE e.deployment_id = %(expressions)s)""",
    "captures_count": """(
        SELECT count(*) FROM main_sourceimage s WHERE s.deployment_id = %(expressions)s)""",
    "detections_count": """(
        SELECT count(*) FROM main_detection d JOIN main_sourceimage s ON s.id = d.source_image_id
        WHERE s.deployment_id = %(expressions)s)""",
    "occurrences_count": """(
        SELECT count(*) FROM main_occurrence o WHERE o.deployment_id = %(expressions)s)""",
}


def counted(counts: dict[str, str]) -> dict[str, Any]:
    """The counts as lookups: a row that all of them match is right."""
    return {
        name: Func("pk", template=sql, output_field=IntegerField()) for name, sql in counts.items()
    }


def update_capture_counts(capture_ids: Iterable[int]) -> None:
    _recount("main_sourceimage", CAPTURES, capture_ids)


def update_event_counts(event_ids: Iterable[int]) -> None:
    _recount("main_event", EVENTS, event_ids)


def update_deployment_counts(deployment_ids: Iterable[int]) -> None:
    _recount("main_deployment", DEPLOYMENTS, deployment_ids)


def _recount(table: str, counts: dict[str, str], ids: Iterable[int]) -> None:
    columns = ", ".join(f"{name} = {sql % {'expressions': 'r.id'}}" for name, sql in counts.items())
    statement = f"UPDATE {table} r SET {columns} WHERE r.id = ANY(%s)"  # noqa: S608 -- constants
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(ids)])
