# ruff: noqa: S608  (composed of constants)
"""The project of detections, classifications and identifications, in a column of their own.

It is always that of the capture or of the occurrence. Lists of a project then read one range of an
index. Triggers fill the column of every new row and keep it, so that no code has to write it, and
the journal omits it. Statements that insert many rows may give the project, which saves a look-up
per row; a wrong one is corrected.
"""

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from ami.main.count_triggers import BY_INDEX

# Each table, with the column that refers to the table from which it has the project.
PARENTS = {
    "main_detection": ("source_image_id", "main_sourceimage"),
    "main_classification": ("detection_id", "main_detection"),
    "main_identification": ("occurrence_id", "main_occurrence"),
}
AT_FIRST = ("main_detection", "main_classification")  # the tables of the first migration
# After a change of the triggers, a migration must call `install_triggers` again, for all tables.

FUNCTION = """
CREATE OR REPLACE FUNCTION {table}_project_{verb}() RETURNS trigger LANGUAGE plpgsql
{plans} AS $project$
DECLARE
    parents bigint;
BEGIN
    {body}
END $project$
"""
# PostgreSQL plans a look-up once per session, perhaps for a table with few rows. A function that is
# called for each row has one setting only, since each costs as much as a part of the look-up.
LOOK_UP = "SET enable_seqscan = off"

FILL = """NEW.project_id := (SELECT project_id FROM {parent} WHERE id = NEW.{link});
    RETURN NEW;"""
# The locks make changes of the parent's project wait for this transaction, which the change would
# not see. They change a column of a unique index, so that they conflict with FOR KEY SHARE.
CHECK = """PERFORM FROM {parent} WHERE id = ANY(ARRAY(SELECT {link} FROM written))
        ORDER BY id FOR KEY SHARE;
    UPDATE {table} t SET project_id = p.project_id
    FROM written w JOIN {parent} p ON p.id = w.{link}
    WHERE t.id = w.id AND w.project_id IS DISTINCT FROM p.project_id;
    RETURN NULL;"""
READ = "SELECT project_id INTO parents FROM {parent} WHERE id = NEW.{link} FOR KEY SHARE;"
KEEP = f"""{READ}
    UPDATE {{table}} SET project_id = parents
    WHERE id = NEW.id AND project_id IS DISTINCT FROM parents;
    RETURN NULL;"""
FOLLOW = """UPDATE {table} SET project_id = NEW.project_id
    WHERE {link} = NEW.id AND project_id IS DISTINCT FROM NEW.project_id;
    RETURN NULL;"""

# A BEFORE trigger for updates would lock every row of every UPDATE a second time.
TRIGGERS = {
    "fill": (LOOK_UP, FILL, "BEFORE INSERT ON {table} FOR EACH ROW WHEN (NEW.project_id IS NULL)"),
    "check": (
        BY_INDEX,
        CHECK,
        "AFTER INSERT ON {table} REFERENCING NEW TABLE AS written FOR EACH STATEMENT",
    ),
    "keep": (
        LOOK_UP,
        KEEP,
        "AFTER UPDATE OF {link}, project_id ON {table} FOR EACH ROW WHEN "
        "((OLD.{link}, OLD.project_id) IS DISTINCT FROM (NEW.{link}, NEW.project_id))",
    ),
    "follow": (
        LOOK_UP,
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

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Let the trigger fill it, so that the instance gets the right one, whatever it has."""
        return None if add else super().pre_save(model_instance, add)


def install_triggers(
    apps: Any, schema_editor: BaseDatabaseSchemaEditor, tables: Iterable[str] = AT_FIRST
) -> None:
    """Install the triggers of `tables`; a step of a migration."""
    for table in tables:
        link, parent = PARENTS[table]
        names = {"table": table, "link": link, "parent": parent}
        for verb, (plans, body, event) in TRIGGERS.items():
            schema_editor.execute(
                FUNCTION.format(table=table, verb=verb, plans=plans, body=body.format(**names))
            )
            schema_editor.execute(
                f"CREATE OR REPLACE TRIGGER {table}_project_{verb} {event.format(**names)} "
                f"EXECUTE FUNCTION {table}_project_{verb}()"
            )


def remove_triggers(
    apps: Any, schema_editor: BaseDatabaseSchemaEditor, tables: Iterable[str] = AT_FIRST
) -> None:
    """Undo :func:`install_triggers`."""
    for table in tables:
        for verb in TRIGGERS:
            schema_editor.execute(f"DROP FUNCTION {table}_project_{verb} CASCADE")
