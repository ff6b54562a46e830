"""An Antenna database next to that of the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from django.db import connection
from psycopg2.extensions import make_dsn

from ami.exchange.antenna_database.report import Report
from ami.exchange.antenna_database.run import Options

FOLDER = Path(__file__).parent
SCHEMA = (FOLDER / "antenna_schema.sql").read_text()
ROWS = (FOLDER / "antenna_rows.sql").read_text()
NAME = "antenna"
ZONES = Options(time_zone="America/Panama", time_zone_of={71: "America/Montreal"})


class Antenna:
    """The database; `dsn` is its address."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def execute(self, statement: str) -> list[Any]:
        """Execute and commit; return the rows, if the statement has any."""
        with _connected(self.dsn) as database, database.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def made_antenna() -> Iterator[Antenna]:
    """Create the tables of Antenna in a database of the same server, and drop it at the end."""
    own = connection.settings_dict["NAME"]
    name = f"{own}_{NAME}"
    with _connected(dsn_of(own)) as server, server.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}"')
    try:
        antenna = Antenna(dsn_of(name))
        antenna.execute(SCHEMA)
        yield antenna
    finally:
        with _connected(dsn_of(own)) as server, server.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def filled(antenna: Antenna) -> Iterator[Antenna]:
    """Fill the tables for one test."""
    antenna.execute(ROWS)
    try:
        yield antenna
    finally:
        tables = antenna.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        antenna.execute(f"TRUNCATE {', '.join(name for (name,) in tables)}")


def dsn_of(name: str) -> str:
    """Return the address of a database of the server of the tests."""
    options = connection.get_connection_params()
    kept = {key: options[key] for key in ("user", "password", "host", "port") if options.get(key)}
    return make_dsn(**kept, dbname=name)


@contextmanager
def _connected(dsn: str) -> Iterator[Any]:
    database = psycopg2.connect(dsn)
    database.autocommit = True
    try:
        yield database
    finally:
        database.close()


def columns(model: Any, pk: int, *names: str) -> tuple[Any, ...]:
    found: tuple[Any, ...] = model.objects.values_list(*names).get(pk=pk)
    return found


def counted(report: Report, table: str) -> tuple[int, int, int, int]:
    one = next(one for one in report.tables if one.table == table)
    return one.source, one.copied, one.reused, one.skipped


def told(report: Report) -> dict[tuple[str, str], list[int]]:
    """The ids of the rows of each finding, by kind and table."""
    return {(one.kind, one.table): one.ids for one in report.findings}
