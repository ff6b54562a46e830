"""The cached counts of captures, nights and deployments.

PostgreSQL keeps them true by the triggers of :mod:`ami.main.count_triggers`, whoever adds, moves
or deletes rows.
"""

from collections.abc import Iterable
from typing import Any

from django.db import connection, models, transaction
from django.db.models import F, Func, IntegerField, Model

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
CACHED = {"main_sourceimage": CAPTURES, "main_event": EVENTS, "main_deployment": DEPLOYMENTS}

REFRESH = "SET CONSTRAINTS main_counts IMMEDIATE; SET CONSTRAINTS main_counts DEFERRED"


class CountField(models.PositiveIntegerField):  # type: ignore[type-arg]
    """A cached count. Saving an instance leaves it as PostgreSQL has it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"default": 0, "editable": False} | kwargs)

    def pre_save(self, model_instance: Model, add: bool) -> Any:
        return super().pre_save(model_instance, add) if add else F(self.attname)


def refresh_counts() -> None:
    """Bring the counts of nights and deployments up to date with what this transaction has done.

    A commit does it by itself: this is for what reads them before. It locks those rows until the
    commit, so that it belongs at the end of a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(REFRESH)


def counted(counts: dict[str, str]) -> dict[str, Any]:
    """The counts as lookups: a row that all of them match is right."""
    return {
        name: Func("pk", template=sql, output_field=IntegerField()) for name, sql in counts.items()
    }


def update_capture_counts(capture_ids: Iterable[int]) -> None:
    """Count those captures' detections anew."""
    _recount("main_sourceimage", capture_ids)


def update_event_counts(event_ids: Iterable[int]) -> None:
    """Count those nights' captures, detections and occurrences anew."""
    _recount("main_event", event_ids)


def update_deployment_counts(deployment_ids: Iterable[int]) -> None:
    """Count those deployments' nights, captures, detections and occurrences anew."""
    _recount("main_deployment", deployment_ids)


def _recount(table: str, ids: Iterable[int]) -> None:
    """Notes are applied first, or they would count twice; a lock of its own lets the count see
    what those committed that it waited for."""
    counts = CACHED[table]
    columns = ", ".join(f"{name} = {sql % {'expressions': 'r.id'}}" for name, sql in counts.items())
    lock = f"SELECT FROM {table} WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
    statement = f"UPDATE {table} r SET {columns} WHERE r.id = ANY(%s)"  # noqa: S608 -- constants
    wanted = list(ids)
    with transaction.atomic(), connection.cursor() as cursor:
        refresh_counts()
        cursor.execute(lock, [wanted])
        cursor.execute(statement, [wanted])
