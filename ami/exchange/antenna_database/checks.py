# ruff: noqa: S608  (composed of the table map and of our models)
"""Rows of Antenna that our constraints refuse, found before anything is written.

What a column may hold is read from our models: each table is read once for all of its columns.
"""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import models

from ami.base.models import ScoreField
from ami.exchange.antenna_database.report import FIRST_IDS, Effect, Finding
from ami.exchange.antenna_database.selection import Selection
from ami.exchange.antenna_database.tables import (
    BY_NAME,
    CLASSIFICATIONS,
    TABLES,
    TAXA,
    USERS,
    Table,
)
from ami.main.models import TaxonRank

IN_ANTENNA = "Correct it in Antenna."
MOST_VALUE = 2**31 - 1


class Condition(NamedTuple):
    """A condition for faulty rows, and the finding that tells of them."""

    kind: str
    sql: str
    fault: str
    remedy: str = IN_ANTENNA
    effect: Effect = Effect.REFUSED


def find_faults(selection: Selection) -> Iterator[Finding]:
    """Yield what is wrong with the rows of all tables, in the order of copying."""
    for table in (USERS, *TABLES):
        if not table.owner:
            yield from _find_rows(selection, table, list(_conditions(selection, table)))
            yield from _find_duplicates(selection, table)
        yield from _find_left_out(selection, table)
    yield from _find_taxa(selection)


def _find_rows(
    selection: Selection, table: Table, conditions: list[Condition], *, where: str = ""
) -> Iterator[Finding]:
    """Yield one finding per condition that holds for any row."""
    rows = (
        f"FROM {table.antenna_name} s {selection.zone_join(table)} "
        f"WHERE {where or selection.scope(table)}"
    )
    counts = ", ".join(f"count(*) FILTER (WHERE {one.sql})" for one in conditions)
    ((*found,),) = selection.source.rows(f"SELECT {counts} {rows}")
    for one, count in zip(conditions, found, strict=True):
        if count:
            first = f"SELECT s.id {rows} AND ({one.sql}) ORDER BY s.id LIMIT {FIRST_IDS}"
            ids = [pk for (pk,) in selection.source.rows(first)]
            yield Finding(
                one.kind, one.effect, table.antenna_name, count, ids, one.fault, one.remedy
            )


def _conditions(selection: Selection, table: Table) -> Iterator[Condition]:
    yield Condition("id", "s.id IS NULL OR s.id < 1", "the id is not positive")
    for column, field in table.fields.items():
        if field.is_relation:
            continue
        yield from _conditions_of(selection, table, column, field)
    for column, name in table.references():
        key = selection.value(table, column)
        gone = f"{key} IS NOT NULL AND NOT {selection.exists(name, key)}"
        target = BY_NAME[name].antenna_name
        if column in table.cleared:
            yield Condition(
                "reference",
                gone,
                f"{column} refers to a row of {target} that is not copied",
                "",
                Effect.CLEARED,
            )
        else:
            fault = f"{column} refers to a row of {target} that does not exist"
            if selection.project is not None:
                fault += " or is of another project"
            yield Condition("reference", gone, fault)
        if not table.fields[column].null:
            yield Condition("missing", f"{key} IS NULL", f"{column} is empty")


def _conditions_of(
    selection: Selection, table: Table, column: str, field: "models.Field[object, object]"
) -> Iterator[Condition]:
    value = selection.value(table, column)
    for ours, theirs in table.columns_read_as("local"):
        if ours == column:
            text = f's."{theirs}"'
            yield Condition(
                "time_zone",
                f"{text} IS NOT NULL AND zone.name IS NULL",
                "there is a time, but no deployment with a time zone",
                "Pass --time-zone.",
            )
    kinds = selection.source.columns[table.antenna_name]
    numbers = {
        ours: theirs for ours, theirs in table.columns_read_as("floats") if kinds[theirs] == "jsonb"
    }
    if column in numbers:
        text = f's."{numbers[column]}"'
        yield Condition("numbers", _no_numbers(text), f"{column} is not a list of numbers")
    elif not field.null and column not in dict(table.columns_read_as("local")):
        yield Condition("missing", f"({value}) IS NULL", f"{column} is empty")
    if isinstance(field, models.CharField) and field.max_length:
        longer = f"length({value}) > {field.max_length}"
        yield Condition("length", longer, f"{column} has more than {field.max_length} characters")
    if isinstance(field, models.PositiveIntegerField):
        beyond = f"({value}) NOT BETWEEN 0 AND {MOST_VALUE}"
        yield Condition("range", beyond, f"{column} is below 0")
    if isinstance(field, ScoreField):
        beyond = f"({value}) NOT BETWEEN 0 AND 1"
        yield Condition("range", beyond, f"{column} is not between 0 and 1")


def _no_numbers(text: str) -> str:
    kept = f"jsonb_typeof({text}) = 'null'"
    is_list = f"jsonb_typeof({text}) = 'array'"
    odd = f"""jsonb_path_exists({text}, 'strict $[*] ? (@.type() != "number")')"""
    return f"{text} IS NOT NULL AND NOT {kept} AND CASE WHEN {is_list} THEN {odd} ELSE true END"


def _find_duplicates(selection: Selection, table: Table) -> Iterator[Finding]:
    """Yield the rows that share what is unique in our table with a row of a lower id."""
    for columns in _unique(table):
        values = [selection.value(table, column) for column in columns]
        known = " AND ".join(f"({value}) IS NOT NULL" for value in values)
        rows = selection.source.rows(
            f"SELECT count(*), (array_agg(id ORDER BY id))[1:{FIRST_IDS}] FROM ("
            f"SELECT s.id, row_number() OVER (PARTITION BY {', '.join(values)} ORDER BY s.id) AS n "
            f"FROM {table.antenna_name} s WHERE {selection.scope(table)} AND {known}) rows "
            f"WHERE n > 1"
        )
        ((count, ids),) = rows
        if count:
            fault = f"another row has the same {' and '.join(columns)}"
            yield Finding(
                "duplicate",
                Effect.REFUSED,
                table.antenna_name,
                count,
                ids,
                fault,
                "Rename or delete one of the two in Antenna.",
            )


def _unique(table: Table) -> Iterator[list[str]]:
    """Yield the columns of our table that are unique together."""
    meta = table.model._meta
    known = {field.name: field.column for field in meta.concrete_fields}
    for column, field in table.fields.items():
        if field.unique:
            yield [column]
    for constraint in meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            columns = [known[name] for name in constraint.fields]
            if set(columns) <= set(table.columns):
                yield columns


def _find_left_out(selection: Selection, table: Table) -> Iterator[Finding]:
    """Yield the rows that are left out by rule."""
    if table is CLASSIFICATIONS and selection.project is None:
        left_out, fault = "s.detection_id IS NULL", "detection_id is empty"
    elif table.owner:
        left_out = f"NOT ({selection.scope(table)})"
        fault = "the link refers to a row that is not copied"
    else:
        return
    orphans = Condition("orphan", left_out, fault, "", Effect.SKIPPED)
    yield from _find_rows(selection, table, [orphans], where=selection.candidates(table))


def _find_taxa(selection: Selection) -> Iterator[Finding]:
    """Yield taxa with an unknown rank, in a loop, or under a parent of a lower rank."""
    ranks = ", ".join(f"'{rank}'" for rank in TaxonRank)
    order = f"array_position(ARRAY[{ranks}], {{}}::text)"
    below = order.format("s.rank"), order.format("p.rank")
    disorder = (
        f"EXISTS (SELECT FROM main_taxon p WHERE p.id = s.parent_id AND {below[1]} >= {below[0]} "
        "AND 'UNKNOWN' NOT IN (s.rank, p.rank))"
    )
    conditions = [
        Condition("rank", f"s.rank NOT IN ({ranks})", "the rank is not known here"),
        Condition(
            "rank_order",
            disorder,
            "the rank of the parent is not above that of the taxon",
            "`check_data_integrity` lists such taxa.",
            Effect.KEPT,
        ),
    ]
    conditions += [
        Condition("loop", _loop(column), f"the taxon is its own {noun}")
        for column, noun in (("parent_id", "ancestor"), ("synonym_of_id", "accepted name"))
    ]
    yield from _find_rows(selection, TAXA, conditions)


def _loop(column: str) -> str:
    """A condition for taxa from which `column` leads back to themselves. UNION ends in a loop."""
    return f"""EXISTS (
        WITH RECURSIVE up (id) AS (
            SELECT s.{column} UNION SELECT t.{column} FROM up JOIN main_taxon t ON t.id = up.id
        ) SELECT FROM up WHERE up.id = s.id)"""
