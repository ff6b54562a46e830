# ruff: noqa: S608  (composed of constants)
"""The project of detections, classifications and identifications, in a column of their own.

It is always that of the capture or of the occurrence. Lists of a project then read one range of an
index. Triggers fill the column of every new row and keep it, so that no code writes it, and the
journal omits it.
"""

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# Each table, with the column that refers to the table from which it has the project.
PARENTS = {
    "main_detection": ("source_image_id", "main_sourceimage"),
    "main_classification": ("detection_id", "main_detection"),
    "main_identification": ("occurrence_id", "main_occurrence"),
}
AT_FIRST = ("main_detection", "main_classification")  # the tables of the first migration

# PostgreSQL plans the look-up once per session, perhaps for a table with few rows.
FUNCTION = """
CREATE FUNCTION {table}_project_{verb}() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $project$
DECLARE
    parents bigint;
BEGIN
    {body}
END $project$
"""
# The lock makes changes of the parent's project wait for this transaction, which the change would
# not see. They change a column of a unique index, so that they conflict with FOR KEY SHARE.
READ = "SELECT project_id INTO parents FROM {parent} WHERE id = NEW.{link} FOR KEY SHARE;"
FILL = f"""{READ}
    NEW.project_id := parents;
    RETURN NEW;"""
KEEP = f"""{READ}
    UPDATE {{table}} SET project_id = parents
    WHERE id = NEW.id AND project_id IS DISTINCT FROM parents;
    RETURN NULL;"""
FOLLOW = """UPDATE {table} SET project_id = NEW.project_id
    WHERE {link} = NEW.id AND project_id IS DISTINCT FROM NEW.project_id;
    RETURN NULL;"""

# A BEFORE trigger for updates would lock every row of every UPDATE a second time.
TRIGGERS = {
    "fill": (FILL, "BEFORE INSERT ON {table} FOR EACH ROW"),
    "keep": (
        KEEP,
        "AFTER UPDATE OF {link}, project_id ON {table} FOR EACH ROW WHEN "
        "((OLD.{link}, OLD.project_id) IS DISTINCT FROM (NEW.{link}, NEW.project_id))",
    ),
    "follow": (
        FOLLOW,
        "AFTER UPDATE OF project_id ON {parent} FOR EACH ROW "
        "WHEN (OLD.project_id IS DISTINCT FROM NEW.project_id)",
    ),
}


class ProjectColumn(models.ForeignKey[Any, Any]):
    """The column; an instance has its value as soon as it is inserted.

    It has no foreign key constraint, which would be checked for each row: captures and occurrences
    have one.
    """

    db_returning = True

    def __init__(self, to: Any = "main.Project", **kwargs: Any) -> None:
        fixed: dict[str, Any] = {
            "on_delete": models.DO_NOTHING,
            "null": True,
            "editable": False,
            "related_name": "+",
            "db_index": False,
            "db_constraint": False,
        }
        super().__init__(to, **fixed | kwargs)


def install_triggers(
    apps: Any, schema_editor: BaseDatabaseSchemaEditor, tables: Iterable[str] = AT_FIRST
) -> None:
    """Install the triggers of `tables`; a step of a migration."""
    for table in tables:
        link, parent = PARENTS[table]
        names = {"table": table, "link": link, "parent": parent}
        for verb, (body, event) in TRIGGERS.items():
            schema_editor.execute(
                FUNCTION.format(table=table, verb=verb, body=body.format(**names))
            )
            schema_editor.execute(
                f"CREATE TRIGGER {table}_project_{verb} {event.format(**names)} "
                f"EXECUTE FUNCTION {table}_project_{verb}()"
            )


def remove_triggers(
    apps: Any, schema_editor: BaseDatabaseSchemaEditor, tables: Iterable[str] = AT_FIRST
) -> None:
    """Undo :func:`install_triggers`."""
    for table in tables:
        for verb in TRIGGERS:
            schema_editor.execute(f"DROP FUNCTION {table}_project_{verb} CASCADE")
