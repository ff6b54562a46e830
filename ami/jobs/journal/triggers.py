"""The journal: PostgreSQL records every row that a run changes in the tables that methods write.

Statement-level triggers do this, so a method needs no code for it, whether it uses the ORM or SQL.
The triggers act only in a transaction that :func:`journaled` has opened.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import InterfaceError, OperationalError, connection, models, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from ami.main.count_triggers import TRANSITIONS
from ami.main.counts import CountField, refresh_counts
from ami.main.determinations import INPUTS
from ami.main.project_column import ProjectColumn

if TYPE_CHECKING:
    from ami.jobs.models import Job

# The tables that Jobs write; a table comes before those that it refers to. After a change of this
# list or of a column of these tables, a migration must call `install_triggers` again.
JOURNALED = (
    "main.Classification",
    "main.Detection",
    "main.Identification",
    "main.Occurrence",
    "main.SourceImage",
    "main.Event",
    "main.Deployment",
    "main.TaxaList_taxa",
    "main.TaxaList_projects",
    "main.TaxaList",
    "main.Taxon_projects",
    "main.Taxon",
)
SETTING = "ami.job"
# When one of these columns changes, the journal also stores a hash of what the determination uses.
DECIDED = {
    "main.occurrence": ("determination_id", "determination_score"),
    "main.detection": ("occurrence_id",),
    "main.identification": ("occurrence_id",),
}
TOAST_VERSION = 170_000  # the first server with pg_column_toast_chunk_id

# PostgreSQL plans the join of old and new rows once per session, for the number of rows at that
# time. A nested loop that was planned for few rows would be quadratic for many, so it is switched
# off. A server before 17 never reaches the statement with the function that it lacks, so the same
# trigger function works on every server, for example after pg_upgrade.
FUNCTION = """
CREATE OR REPLACE FUNCTION jobs_journal_{table}() RETURNS trigger LANGUAGE plpgsql
SET enable_nestloop = off AS $journal$
DECLARE
    this_job bigint := current_setting('{setting}');
    this_batch bigint := pg_current_xact_id()::text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO jobs_jobchange (job_id, batch, created_at, kind, model, object_id, after)
        SELECT this_job, this_batch, now(), 'created', '{label}', n.id, to_jsonb(stored)
        FROM new_rows n CROSS JOIN LATERAL (SELECT {narrow}) stored ORDER BY n.id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO jobs_jobchange (job_id, batch, created_at, kind, model, object_id, before)
        SELECT this_job, this_batch, now(), 'deleted', '{label}', o.id, to_jsonb(stored)
        FROM old_rows o CROSS JOIN LATERAL (SELECT {whole}) stored ORDER BY o.id;
    ELSIF current_setting('server_version_num')::int >= {toast_version} THEN
        {changed_by_place}
    ELSE
        {changed_by_value}
    END IF;
    RETURN NULL;
END $journal$
"""
# Only changed columns are stored; a row without a change is left out. With OFFSET 0, each column is
# compared once per row and not at each use.
CHANGED = """
        INSERT INTO jobs_jobchange
            (job_id, batch, created_at, kind, model, object_id, before, after, inputs)
        SELECT this_job, this_batch, now(), 'changed', '{label}', o.id, {former}, {present},
               {inputs}
        FROM old_rows o JOIN new_rows n ON n.id = o.id
        CROSS JOIN LATERAL (SELECT {comparisons} OFFSET 0) differs
        WHERE {differs} ORDER BY o.id;
"""

# Called once per statement, with all of its rows, and not at all outside a journaled transaction.
TRIGGER = """
CREATE OR REPLACE TRIGGER jobs_journal_{event} AFTER {event} ON {table} REFERENCING {tables}
FOR EACH STATEMENT WHEN (current_setting('{setting}', true) <> '')
EXECUTE FUNCTION jobs_journal_{table}()
"""

# Merges the changes of a row: if two contain the same column, the later one in the order wins.
MERGE = """
CREATE OR REPLACE AGGREGATE jobs_jsonb_merge(jsonb) (
    SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}'
)
"""


class Column(NamedTuple):
    """A column of a journaled table: its name and its PostgreSQL type."""

    name: str
    type: str

    @property
    def is_array(self) -> bool:
        return self.type.endswith("[]")

    @property
    def is_vector(self) -> bool:
        return self.is_array and self.type.startswith("double precision")

    @property
    def is_plain(self) -> bool:
        """Whether JSON stores it exactly: JSON has no NaN, no -0 and no type for its arrays."""
        return not self.is_array and self.type not in {"double precision", "jsonb"}

    def value(self, row: str) -> str:
        """SQL for its value in the journal."""
        return f"{row}.{self.name}{'' if self.is_plain else '::text'}"

    def differs(self, *, by_place: bool) -> str:
        """SQL for whether its value changed, compared bit by bit, so that -0 differs from 0.

        `by_place` avoids reading vectors, with a function of PostgreSQL 17 and later.
        """
        former, present = f"o.{self.name}", f"n.{self.name}"
        if self.is_plain:
            return f"{former} IS DISTINCT FROM {present}"
        bits_differ = f"ROW({former})::record *<> ROW({present})"
        if not (self.is_array and by_place):
            return bits_differ
        # A vector that an UPDATE does not set keeps its TOAST pointer, so it need not be read.
        place = "pg_column_toast_chunk_id({})"
        moved = f"{place} IS DISTINCT FROM {place} OR {place} IS NULL"
        return f"(({moved.format(former, present, present)}) AND {bits_differ})"


def columns_of(model: type[models.Model]) -> list[Column]:
    """All columns that are written, by name; arrays last, because comparing them is expensive.

    They do not include the id and what triggers derive from other rows: projects and counts.
    """
    columns = [
        Column(field.column, field.db_type(connection) or "")
        for field in model._meta.concrete_fields
        if not (field.primary_key or isinstance(field, ProjectColumn | CountField))
    ]
    return sorted(columns, key=lambda column: (column.is_array, column.name))


def narrow(columns: Iterable[Column]) -> list[Column]:
    """The columns that the journal stores of a created row."""
    return [c for c in columns if not c.is_vector and c.name not in {"created_at", "updated_at"}]


def function_sql(model: type[models.Model]) -> str:
    """SQL that creates the trigger function for the table of `model`."""
    columns = columns_of(model)
    label = model._meta.label_lower
    return FUNCTION.format(
        table=model._meta.db_table,
        label=label,
        setting=SETTING,
        narrow=_row(narrow(columns), row="n"),
        whole=_row(columns, row="o"),
        toast_version=TOAST_VERSION,
        changed_by_place=_changed_sql(label, columns, by_place=True),
        changed_by_value=_changed_sql(label, columns, by_place=False),
    )


def install_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the triggers for the columns of the models in `apps`; a step of a migration."""
    schema_editor.execute(MERGE)
    for label in JOURNALED:
        model = apps.get_model(label)
        schema_editor.execute(function_sql(model))
        for event, tables in TRANSITIONS.items():
            schema_editor.execute(
                TRIGGER.format(
                    event=event, table=model._meta.db_table, tables=tables, setting=SETTING
                )
            )


def remove_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Undo :func:`install_triggers`."""
    schema_editor.execute("DROP AGGREGATE jobs_jsonb_merge(jsonb)")
    for label in JOURNALED:
        table = apps.get_model(label)._meta.db_table
        schema_editor.execute(f"DROP FUNCTION jobs_journal_{table} CASCADE")


@contextmanager
def journaled(job: "Job") -> Iterator[None]:
    """A transaction whose changes of journaled tables are recorded as changes by `job`.

    Cached counts are refreshed at its end.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [SETTING, str(job.pk)])
        yield
        # Reset the setting, which would outlive a savepoint. After an error, the rollback resets
        # it.
        cursor.execute("SELECT set_config(%s, '', true)", [SETTING])
        refresh_counts()


@contextmanager
def journaled_session(job: "Job") -> Iterator[None]:
    """Record all changes of this session, for code that has its own transactions."""
    _set_for_session(str(job.pk))
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with suppress(InterfaceError, OperationalError):  # the setting ends with the session
                _set_for_session("")


def _set_for_session(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [SETTING, value])


def _row(columns: Iterable[Column], *, row: str) -> str:
    return ", ".join(f"{column.value(row)} AS {column.name}" for column in columns)


def _changed_sql(label: str, columns: Iterable[Column], *, by_place: bool) -> str:
    compared = [column for column in columns if column.name != "updated_at"]
    comparisons = (f"{column.differs(by_place=by_place)} AS {column.name}" for column in compared)
    return CHANGED.format(
        label=label,
        former=_values(compared, row="o"),
        present=_values(compared, row="n"),
        inputs=_inputs(label),
        comparisons=",\n            ".join(comparisons),
        differs=_any_differs(column.name for column in compared),
    ).strip()


def _inputs(label: str) -> str:
    """SQL for the hash of what the determination uses, if a column in DECIDED changed."""
    if label not in INPUTS:
        return "NULL"
    return f"CASE WHEN {_any_differs(DECIDED[label])} THEN {INPUTS[label]} END"


def _any_differs(names: Iterable[str]) -> str:
    return " OR ".join(f"differs.{name}" for name in names)


def _values(columns: Iterable[Column], *, row: str) -> str:
    """SQL for the changed columns of a row, as a JSON object."""
    return "\n            || ".join(
        f"CASE WHEN differs.{column.name} "
        f"THEN jsonb_build_object('{column.name}', {column.value(row)}) ELSE '{{}}' END"
        for column in columns
    )
