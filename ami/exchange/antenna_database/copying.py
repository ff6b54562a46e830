"""Streaming of rows from one server to the other, through this process."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO

import psycopg2
from django.db import connection

from ami.exchange.antenna_database.selection import Selection
from ami.exchange.antenna_database.tables import Table
from ami.exchange.base import ImportRefusedError

ROWS_AT_ONCE = 50_000
BUFFER = 2**20

# The last id of each chunk of rows.
BOUNDS = """
SELECT id FROM (
    SELECT s.id, row_number() OVER (ORDER BY s.id) AS n FROM {table} s WHERE {scope}
) rows WHERE mod(n, {size}) = 0 ORDER BY id
"""


def copy_table(selection: Selection, table: Table, on_rows: Callable[[int], object]) -> int:
    """Copy the rows of a table and return their number.

    What the servers hold for the statements, such as checks of foreign keys, is bounded by a
    chunk of rows. Links are few and small, and duplicates among them are only seen in one piece.
    """
    copied = 0
    for chunk in ["true"] if table.owner else _chunks(selection, table):
        copied += (number := _copy(selection, table, chunk))
        on_rows(number)
    return copied


def _chunks(selection: Selection, table: Table) -> Iterator[str]:
    statement = BOUNDS.format(
        table=table.antenna_name, scope=selection.scope(table), size=ROWS_AT_ONCE
    )
    former = 0
    for (last,) in selection.source.rows(statement):
        yield f"s.id > {former} AND s.id <= {last}"
        former = last
    yield f"s.id > {former}"


def _copy(selection: Selection, table: Table, chunk: str) -> int:
    columns = ", ".join(f'"{name}"' for name in ([] if table.owner else ["id"]) + [*table.columns])
    reading = f"COPY ({selection.copied(table, chunk)}) TO STDOUT (FORMAT binary)"
    writing = f"COPY {table.name} ({columns}) FROM STDIN (FORMAT binary)"
    ends = os.pipe()
    with os.fdopen(ends[0], "rb", BUFFER) as reader, os.fdopen(ends[1], "wb", BUFFER) as writer:
        sender = _Sender(selection, reading, writer)
        sender.start()
        try:
            return _receive(writing, reader)
        except psycopg2.Error as error:
            raise ImportRefusedError(
                f"The database refuses rows of {table.antenna_name}, and nothing was written: "
                f"{' '.join(str(error).split())}"
            ) from None
        finally:
            reader.close()  # otherwise the sender might wait for it
            sender.join()
            # An error of the reading cuts the rows off, and is the cause of any other.
            if sender.fault and not isinstance(sender.fault, BrokenPipeError):
                raise sender.fault from None


def _receive(statement: str, pipe: IO[bytes]) -> int:
    try:
        with connection.cursor() as cursor:
            cursor.copy_expert(statement, pipe, BUFFER)
            return int(cursor.rowcount)
    except psycopg2.Error as error:
        # Only Ctrl-C interrupts the reading, of which psycopg2 makes an error of the database.
        if ".read() call" in str(error):
            raise KeyboardInterrupt from None
        raise


class _Sender(threading.Thread):
    """Writes the result of a statement into a pipe; `fault` is what went wrong."""

    def __init__(self, selection: Selection, statement: str, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.source, self.statement, self.pipe = selection.source, statement, pipe
        self.fault: Exception | None = None

    def run(self) -> None:
        try:
            with self.source.connection.cursor() as cursor:
                cursor.copy_expert(self.statement, self.pipe, BUFFER)
        except Exception as fault:
            self.fault = fault
        finally:
            with suppress(BrokenPipeError):
                self.pipe.close()
