# ruff: noqa: S608  (composed of the names of our tables)
"""The ids of copied rows: Antenna's, or larger ones where these are in use here."""

from dataclasses import dataclass

from django.db import connection

from ami.exchange.antenna_database.tables import Table


@dataclass
class Range:
    """The ids from `first` to `last` of the rows of one table, before the shift."""

    first: int
    last: int


def shift_of(table: Table, ids: Range) -> int:
    """Return what is added to the ids: nothing if all of them are free, else enough for all."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM {table.name} WHERE id BETWEEN %s AND %s), "
            f"COALESCE((SELECT max(id) FROM {table.name}), 0), "
            "COALESCE(pg_sequence_last_value("
            f"pg_get_serial_sequence('{table.name}', 'id')::regclass), 0)",
            [ids.first, ids.last],
        )
        in_use, largest, issued = cursor.fetchone()
    return max(largest, issued) - ids.first + 1 if in_use else 0


def reserve(ranges: dict[str, Range], shifts: dict[str, int]) -> None:
    """Advance the sequences beyond the ids, so that nobody else gets one of them meanwhile.

    A sequence is never moved back, not even by a rollback.
    """
    with connection.cursor() as cursor:
        for name, ids in ranges.items():
            sequence = f"pg_get_serial_sequence('{name}', 'id')"
            cursor.execute(
                f"SELECT setval({sequence}, GREATEST(%s, nextval({sequence})))",
                [ids.last + shifts.get(name, 0)],
            )
