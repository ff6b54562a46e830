# ruff: noqa: S608  (composed of the table map, of numbers, and of names of time zones)
"""The SQL that reads Antenna's rows in the form of ours."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from django.db import connection

from ami.base.ids import id_array
from ami.exchange.antenna_database.source import Source
from ami.exchange.antenna_database.tables import BY_NAME, COLUMN, MEMBERSHIPS, Table

WITH_TIME_ZONE = "timestamp with time zone"


@dataclass
class Selection:
    """Which rows are copied, and what becomes of their ids and times.

    `needed` has the ids of the rows of shared tables that one project needs. `reused` has, by
    table, our ids of rows that exist already, by Antenna's. All other ids of a table grow by its
    `shifts`. `zones` has the time zones by deployment, and `server_zone` is that of Antenna's
    server.
    """

    source: Source
    project: int | None = None
    zones: Mapping[int, str] = field(default_factory=dict)
    default_zone: str | None = None
    server_zone: str = "UTC"
    needed: dict[str, Collection[int]] = field(default_factory=dict)
    reused: dict[str, dict[int, int]] = field(default_factory=dict)
    shifts: dict[str, int] = field(default_factory=dict)

    def scope(self, table: Table, row: str = "s") -> str:
        """A condition for the rows of Antenna's table that are copied or reused."""
        conditions = [table.where] if table.where else []
        if table.name in self.needed:
            conditions.append(f"{{row}}.id = ANY('{id_array(self.needed[table.name])}')")
        elif self.project is not None and table.of_project:
            conditions.append(table.of_project)
        if table.owner:
            conditions += [self.exists(name, f"{{row}}.{key}") for key, name in table.references()]
        text = " AND ".join(f"({one})" for one in conditions) or "true"
        return text.replace("{row}", row).replace("{project}", str(self.project))

    def candidates(self, table: Table) -> str:
        """A condition for the rows that are copied, reused, or left out by rule."""
        if table.owner and self.project is not None:
            return self.exists(dict(table.references())[table.owner], f"s.{table.owner}")
        return (
            "true" if table.owner or (table.where and self.project is None) else self.scope(table)
        )

    def exists(self, name: str, key: str) -> str:
        """A condition that the row of a table with the id `key` is copied or reused.

        Rows of shared tables that are referred to are needed by definition.
        """
        table = BY_NAME[name]
        scope = "true" if name in self.needed else self.scope(table, "r")
        return f"EXISTS (SELECT FROM {table.antenna_name} r WHERE r.id = {key} AND {scope})"

    def value(self, table: Table, column: str) -> str:
        """The value of our column, as Antenna's database computes it, with Antenna's ids."""

        def read(match: re.Match[str]) -> str:
            name, way = match.groups()
            return self._read(table, name, way)

        template = table.columns[column]
        if table is MEMBERSHIPS and column == "role" and not self.source.has_roles:
            template = "'viewer'"
        return COLUMN.sub(read, template)

    def _read(self, table: Table, name: str, way: str | None) -> str:
        text = f's."{name}"'
        kind = self.source.columns[table.antenna_name][name]
        match way:
            case "local":
                clock = f"{text} AT TIME ZONE '{self.server_zone}'"
                local = clock if kind == WITH_TIME_ZONE else text
                return f"(({local}) AT TIME ZONE zone.name)"
            case "server" if kind != WITH_TIME_ZONE:
                return f"({text} AT TIME ZONE '{self.server_zone}')"
            case "floats" if kind == "jsonb":
                return (
                    f"CASE WHEN jsonb_typeof({text}) = 'array' "
                    f"THEN translate({text}::text, '[]', '{{}}')::float8[] END"
                )
            case "images":
                return self._images(text)
        return text

    def _images(self, capture_set: str) -> str:
        own = BY_NAME["main_sourceimagecollection_images"]
        shift = self.shifts.get("main_sourceimage", 0)
        return (
            f"COALESCE((SELECT jsonb_agg(i.sourceimage_id + {shift} ORDER BY i.sourceimage_id) "
            f"FROM {own.name} i WHERE i.sourceimagecollection_id = {capture_set} "
            f"AND {self.scope(own, 'i')}), '[]')"
        )

    def zone_join(self, table: Table) -> str:
        """A join that adds `zone.name`, the time zone of the row's deployment."""
        if not table.deployment:
            return ""
        default = "NULL" if self.default_zone is None else f"'{self.default_zone}'"
        zones = ", ".join(f'"{zone}"' for zone in self.zones.values())
        return (
            f"{table.joins} LEFT JOIN unnest('{id_array(self.zones)}'::bigint[], "
            f"'{{{zones}}}'::text[]) AS known (deployment, name) "
            f"ON known.deployment = {table.deployment} "
            f"CROSS JOIN LATERAL (SELECT COALESCE(known.name, {default}) AS name) zone"
        )

    def copied(self, table: Table, chunk: str = "true") -> str:
        """The query for our rows, with the id first unless they are links, then the columns."""
        maps = _Maps(self)
        values = (
            [maps.translated(table.name, "s.id", own=True) + ' AS "id"'] if not table.owner else []
        )
        references = dict(table.references())
        for column, field_ in table.fields.items():
            text = self.value(table, column)
            if column in references:
                text = maps.translated(references[column], text, own=column == table.owner)
                if column in table.cleared:
                    kept = self.exists(references[column], self.value(table, column))
                    text = f"CASE WHEN {kept} THEN {text} END"
            kind = re.sub(r"\(\d+\)", "", field_.db_type(connection) or "")
            values.append(f'({text})::{kind} AS "{column}"')
        conditions = [self.scope(table), chunk, *maps.conditions]
        return (
            f"SELECT {self._distinct(table, references)}{', '.join(values)} "
            f"FROM {table.antenna_name} s {self.zone_join(table)} {' '.join(maps.joins)} "
            f"WHERE {' AND '.join(conditions)}"
        )

    def _distinct(self, table: Table, references: Mapping[str, str]) -> str:
        """Links between the same rows, or rows that become the same, are copied once."""
        if not table.owner:
            return ""
        numbers = range(1, len(table.columns) + 1)
        keys = [
            str(n) for n, column in zip(numbers, table.columns, strict=True) if column in references
        ]
        return f"DISTINCT ON ({', '.join(keys)}) "


class _Maps:
    """The joins that a query needs to translate ids."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.joins: list[str] = []
        self.conditions: list[str] = []

    def translated(self, name: str, key: str, *, own: bool) -> str:
        """Our id of the row with Antenna's id `key`. With `own`, leave out rows that are reused."""
        shift = self.selection.shifts.get(name, 0)
        shifted = f"{key} + {shift}" if shift else key
        pairs = self.selection.reused.get(name, {})
        if not pairs:
            return shifted
        alias = f"map{len(self.joins)}"
        old, new = id_array(pairs), id_array(pairs.values())
        self.joins.append(
            f"LEFT JOIN unnest('{old}'::bigint[], '{new}'::bigint[]) AS {alias} (old, new) "
            f"ON {alias}.old = {key}"
        )
        if own:
            self.conditions.append(f"{alias}.old IS NULL")
            return shifted
        return f"COALESCE({alias}.new, {shifted})"
