"""The cached counts of captures, nights and deployments.

The triggers in :mod:`ami.main.count_triggers` keep them correct, whoever adds, moves or deletes
rows.
"""

from collections.abc import Iterable
from typing import Any

from django.db import connection, models, transaction
from django.db.models import F, Func, IntegerField, Model

from ami.base.ids import id_array

# The counts of each table, as SQL for the row with the id %(expressions)s.
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
CACHED = {"main_sourceimage": CAPTURES, "main_event": EVENTS, "main_deployment": DEPLOYMENTS}

# All rows with a wrong count, with their table. Counting each table once costs half of counting the
# rows of every capture, night and deployment with indexes. Captures and occurrences are counted by
# night and deployment at once, since the captures of a night belong to one deployment as a rule.
FAULTS = """
WITH captures AS MATERIALIZED (
    SELECT event_id, deployment_id, count(*) AS captures, sum(detections) AS detections,
           array_agg(id) FILTER (WHERE detections_count <> detections) AS miscounted
    FROM (
        SELECT s.id, event_id, deployment_id, detections_count, COALESCE(number, 0) AS detections
        FROM main_sourceimage s LEFT JOIN (
            SELECT source_image_id, count(*)::int AS number FROM main_detection
            GROUP BY source_image_id
        ) d ON d.source_image_id = s.id
    ) capture
    GROUP BY event_id, deployment_id
), occurrences AS MATERIALIZED (
    SELECT event_id, deployment_id, count(*) AS number FROM main_occurrence
    GROUP BY event_id, deployment_id
)
SELECT 'capture', unnest(miscounted) FROM captures
UNION ALL
SELECT 'event', event.id FROM main_event event
LEFT JOIN (
    SELECT event_id, sum(captures) AS captures, sum(detections) AS detections
    FROM captures GROUP BY event_id
) c ON c.event_id = event.id
LEFT JOIN (
    SELECT event_id, sum(number) AS number FROM occurrences GROUP BY event_id
) o ON o.event_id = event.id
WHERE (captures_count, detections_count, occurrences_count)
      <> (COALESCE(c.captures, 0), COALESCE(c.detections, 0), COALESCE(o.number, 0))
UNION ALL
SELECT 'deployment', deployment.id FROM main_deployment deployment
LEFT JOIN (
    SELECT deployment_id, sum(captures) AS captures, sum(detections) AS detections
    FROM captures GROUP BY deployment_id
) c ON c.deployment_id = deployment.id
LEFT JOIN (
    SELECT deployment_id, sum(number) AS number FROM occurrences GROUP BY deployment_id
) o ON o.deployment_id = deployment.id
LEFT JOIN (
    SELECT deployment_id, count(*) AS number FROM main_event GROUP BY deployment_id
) e ON e.deployment_id = deployment.id
WHERE (captures_count, detections_count, occurrences_count, events_count)
      <> (COALESCE(c.captures, 0), COALESCE(c.detections, 0), COALESCE(o.number, 0),
          COALESCE(e.number, 0))
"""

# Fires the deferred trigger that applies the recorded differences, which a commit would fire.
REFRESH = "SET CONSTRAINTS main_counts IMMEDIATE; SET CONSTRAINTS main_counts DEFERRED"


class CountField(models.PositiveIntegerField):  # type: ignore[type-arg]
    """A cached count, which saving an instance does not change."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"default": 0, "db_default": 0, "editable": False} | kwargs)

    def pre_save(self, model_instance: Model, add: bool) -> Any:
        return super().pre_save(model_instance, add) if add else F(self.attname)


def refresh_counts() -> None:
    """Update the counts of nights and deployments with the changes of this transaction.

    A commit does so by itself; call this to read the counts before it. Call it at the end of a
    transaction, because it locks these rows until the commit.
    """
    with connection.cursor() as cursor:
        cursor.execute(REFRESH)


def counted(counts: dict[str, str]) -> dict[str, Any]:
    """Return the counts as lookups, which match rows whose counts are all correct."""
    return {
        name: Func("pk", template=sql, output_field=IntegerField()) for name, sql in counts.items()
    }


def update_capture_counts(capture_ids: Iterable[int]) -> None:
    """Count the detections of the captures again."""
    _recount("main_sourceimage", capture_ids)


def update_event_counts(event_ids: Iterable[int]) -> None:
    """Count the captures, detections and occurrences of the nights again."""
    _recount("main_event", event_ids)


def update_deployment_counts(deployment_ids: Iterable[int]) -> None:
    """Count the nights, captures, detections and occurrences of the deployments again."""
    _recount("main_deployment", deployment_ids)


def _recount(table: str, ids: Iterable[int]) -> None:
    """Count the rows of a table again.

    Recorded differences are applied first; otherwise they would be added to the new counts. The
    lock is a separate statement, so that the count sees what other transactions have committed.
    """
    counts = CACHED[table]
    columns = ", ".join(f"{name} = {sql % {'expressions': 'r.id'}}" for name, sql in counts.items())
    lock = f"SELECT FROM {table} WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
    statement = f"UPDATE {table} r SET {columns} WHERE r.id = ANY(%s)"  # noqa: S608 -- constants
    wanted = id_array(ids)
    with transaction.atomic(), connection.cursor() as cursor:
        refresh_counts()
        cursor.execute(lock, [wanted])
        cursor.execute(statement, [wanted])
