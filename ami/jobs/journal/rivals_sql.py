"""SQL for former values, and for the rows that have taken those that must be unique."""

from collections.abc import Iterator

from django.db import models

from ami.jobs.journal.references import unique_columns
from ami.jobs.journal.triggers import Column


def former(column: Column) -> str:
    """SQL for the value that a column had before the run."""
    return (
        f"CASE WHEN u.before ? '{column.name}' "
        f"THEN (u.before->>'{column.name}')::{column.type} ELSE t.{column.name} END"
    )


def rivals(model: type[models.Model], columns: list[Column]) -> Iterator[str]:
    """Conditions: the row `x` has, and keeps, a former value that must be unique."""
    by_name = {column.name: column for column in columns}
    for names in unique_columns(model):
        listed = "{" + ",".join(names) + "}"
        same = " AND ".join(f"x.{name} = {former(by_name[name])}" for name in names)
        yield f"""(NOT u.stands OR u.before ?| '{listed}') AND x.id <> u.object_id AND {same}
            AND NOT EXISTS (SELECT FROM undo d WHERE d.model = '{model._meta.label_lower}'
                            AND d.object_id = x.id AND d.stands AND d.reason IS NULL
                            AND (NOT d.existed OR d.before ?| '{listed}'))"""


def taken(model: type[models.Model], columns: list[Column]) -> Iterator[str]:
    """Conditions: another row has a former value that must be unique."""
    for rival in rivals(model, columns):
        yield f"EXISTS (SELECT FROM {model._meta.db_table} x WHERE {rival})"
