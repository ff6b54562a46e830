"""The journal: PostgreSQL records what a run does to the rows that methods write.

Statement-level triggers do it, so a method needs no line for it, be it written with the ORM or in
SQL. They act only in a transaction that :func:`journaled` has opened.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import InterfaceError, OperationalError, connection, models, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from ami.main.counts import refresh_counts
from ami.main.determinations import INPUTS

if TYPE_CHECKING:
    from ami.jobs.models import Job

# The tables that methods write, referring ones first. After a change here, or to a column of one of
# these, a migration calls `install_triggers` anew.
JOURNALED = ("main.Classification", "main.Detection", "main.Identification", "main.Occurrence")
SETTING = "ami.job"
# The columns whose change records what the determination rests on at the time.
DECIDED = {
    "main.occurrence": ("determination_id", "determination_score"),
    "main.detection": ("occurrence_id",),
    "main.identification": ("occurrence_id",),
}
TOAST_VERSION = 170_000  # the first server with pg_column_toast_chunk_id

# PostgreSQL plans the join of old and new rows once a session, for as many rows as there were then.
# A nested loop, planned for few, would compare each of many rows with every other.
# An older server never comes to the statement with the function that it lacks, so that a function
# made on one server serves on another, as after pg_upgrade.
FUNCTION = """
CREATE OR REPLACE FUNCTION jobs_journal_{table}() RETURNS trigger LANGUAGE plpgsql
SET enable_nestloop = off AS $journal$
DECLARE
    this_job bigint := current_setting('{setting}');
    this_batch bigint := pg_current_xact_id()::text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO jobs_jobchange (job_id, batch, created_at, kind, model, object_id, after)
        SELECT this_job, this_batch, now(), 'created', '{label}', n.id, {narrow}
        FROM new_rows n ORDER BY n.id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO jobs_jobchange (job_id, batch, created_at, kind, model, object_id, before)
        SELECT this_job, this_batch, now(), 'deleted', '{label}', o.id, {whole}
        FROM old_rows o ORDER BY o.id;
    ELSIF current_setting('server_version_num')::int >= {toast_version} THEN
        {changed_by_place}
    ELSE
        {changed_by_value}
    END IF;
    RETURN NULL;
END $journal$
"""
CHANGED = """
        INSERT INTO jobs_jobchange
            (job_id, batch, created_at, kind, model, object_id, before, after, inputs)
        SELECT this_job, this_batch, now(), 'changed', '{label}', o.id, {former}, {present},
               {inputs}
        FROM old_rows o JOIN new_rows n ON n.id = o.id
        WHERE {differs} ORDER BY o.id;
"""

TRIGGER = """
CREATE OR REPLACE TRIGGER jobs_journal_{event} AFTER {event} ON {table} REFERENCING {tables}
FOR EACH STATEMENT WHEN (current_setting('{setting}', true) <> '')
EXECUTE FUNCTION jobs_journal_{table}()
"""

# Over a row's changes: of two that hold the same column, the later one in the order counts.
MERGE = """
CREATE OR REPLACE AGGREGATE jobs_jsonb_merge(jsonb) (
    SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}'
)
"""

TRANSITIONS = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}


class Column(NamedTuple):
    """A column of a journaled table, by its name and PostgreSQL's type."""

    name: str
    type: str

    @property
    def is_array(self) -> bool:
        return self.type.endswith("[]")

    @property
    def is_plain(self) -> bool:
        """Whether JSON holds it exactly: it has no NaN, no -0, and no type for an array."""
        return not self.is_array and self.type not in {"double precision", "jsonb"}

    def value(self, row: str) -> str:
        """Its name and its value for the journal."""
        return f"'{self.name}', {row}.{self.name}{'' if self.is_plain else '::text'}"

    def differs(self, *, by_place: bool) -> str:
        """Whether it changed, bit by bit: -0 is not 0.

        `by_place` spares reading vectors, with a function of PostgreSQL 17 and later.
        """
        former, present = f"o.{self.name}", f"n.{self.name}"
        if self.is_plain:
            return f"{former} IS DISTINCT FROM {present}"
        bits_differ = f"ROW({former})::record *<> ROW({present})"
        if not (self.is_array and by_place):
            return bits_differ
        # A vector that an UPDATE leaves alone stays where it is stored, and need not be read.
        place = "pg_column_toast_chunk_id({})"
        moved = f"{place} IS DISTINCT FROM {place} OR {place} IS NULL"
        return f"(({moved.format(former, present, present)}) AND {bits_differ})"


def columns_of(model: type[models.Model]) -> list[Column]:
    """All columns but the id, by name; arrays last, as those are dear to compare."""
    columns = [
        Column(field.column, field.db_type(connection) or "")
        for field in model._meta.concrete_fields
        if not field.primary_key
    ]
    return sorted(columns, key=lambda column: (column.is_array, column.name))


def narrow(columns: Iterable[Column]) -> list[Column]:
    """Those that the journal keeps of a created row."""
    return [c for c in columns if not c.is_array and c.name not in {"created_at", "updated_at"}]


def function_sql(model: type[models.Model]) -> str:
    """The function that journals the table of `model`."""
    columns = columns_of(model)
    label = model._meta.label_lower
    return FUNCTION.format(
        table=model._meta.db_table,
        label=label,
        setting=SETTING,
        narrow=_object(narrow(columns), row="n"),
        whole=_object(columns, row="o"),
        toast_version=TOAST_VERSION,
        changed_by_place=_changed_sql(label, columns, by_place=True),
        changed_by_value=_changed_sql(label, columns, by_place=False),
    )


def install_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the triggers for the columns that the models have in `apps`; a step of a migration."""
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
    """A transaction whose changes to journaled tables are recorded as those of `job`.

    The counts of what it has touched are true at its end.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [SETTING, str(job.pk)])
        yield
        # The setting would outlive a savepoint. Where an error ends this, the rollback resets it.
        cursor.execute("SELECT set_config(%s, '', true)", [SETTING])
        refresh_counts()


@contextmanager
def journaled_session(job: "Job") -> Iterator[None]:
    """Record what is written outside of batches, too, for code that has transactions of its own."""
    _set_for_session(str(job.pk))
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with suppress(InterfaceError, OperationalError):  # the setting dies with the session
                _set_for_session("")


def _set_for_session(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [SETTING, value])


def _object(columns: Iterable[Column], *, row: str) -> str:
    return f"jsonb_build_object({', '.join(column.value(row) for column in columns)})"


def _changed_sql(label: str, columns: Iterable[Column], *, by_place: bool) -> str:
    differences = {
        column: column.differs(by_place=by_place)
        for column in columns
        if column.name != "updated_at"
    }
    return CHANGED.format(
        label=label,
        former=_values(differences, row="o"),
        present=_values(differences, row="n"),
        inputs=_inputs(label),
        differs="\n           OR ".join(differences.values()),
    ).strip()


def _inputs(label: str) -> str:
    """What a determination rests on, where the row has another one, or belongs elsewhere now."""
    if label not in INPUTS:
        return "NULL"
    differs = " OR ".join(f"o.{name} IS DISTINCT FROM n.{name}" for name in DECIDED[label])
    return f"CASE WHEN {differs} THEN {INPUTS[label]} END"


def _values(differences: dict[Column, str], *, row: str) -> str:
    """The changed columns of a row, as an object."""
    return "\n            || ".join(
        f"CASE WHEN {differs} THEN {_object([column], row=row)} ELSE '{{}}' END"
        for column, differs in differences.items()
    )
