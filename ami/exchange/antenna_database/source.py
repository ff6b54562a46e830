"""The connection to an Antenna database: one snapshot, which nothing changes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, parse_dsn

from ami.exchange.antenna_database.tables import BY_NAME, ROLE_TABLES
from ami.exchange.base import ImportRefusedError

EXAMPLE = "postgresql://user@host:5432/antenna"
SECONDS_TO_CONNECT = 15
# The server's own settings might end a long copy, or write dates in another way.
SESSION = (
    "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=0 "
    "-c timezone=UTC -c datestyle=ISO -c jit=off"
)
COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = ANY(current_schemas(false)) AND table_name = ANY(%s)
"""


class Source:
    """An open snapshot of an Antenna database. `columns` has the types of its tables' columns."""

    def __init__(self, database: Any) -> None:
        self.connection = database
        self.columns: dict[str, dict[str, str]] = {}

    def rows(self, statement: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        """Execute a statement and return its rows."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            found: list[Any] = cursor.fetchall()
            return found

    def read_columns(self) -> None:
        """Read which columns there are. Raises ImportRefusedError if one is missing."""
        wanted = {table.antenna_name: table.needed for table in BY_NAME.values()}
        for name, column, kind in self.rows(COLUMNS, [[*wanted, *ROLE_TABLES]]):
            self.columns.setdefault(name, {})[column] = kind
        tables = [name for name in wanted if name not in self.columns]
        columns = [
            f"{name}.{column}"
            for name in wanted
            for column in wanted[name]
            if name in self.columns and column not in self.columns[name]
        ]
        faults = [
            f"{_noun(kind, missing)} {', '.join(missing)}"
            for kind, missing in (("table", tables), ("column", columns))
            if missing
        ]
        if faults:
            raise ImportRefusedError(
                f"This is not a database of Antenna, or too old, or its user may not read it: it "
                f"lacks the {' and the '.join(faults)}."
            )

    @property
    def has_roles(self) -> bool:
        return all(name in self.columns for name in ROLE_TABLES)


@contextmanager
def opened(url: str) -> Iterator[Source]:
    """Open the database of a URL, and close it after the block.

    Raises ImportRefusedError, without the password, if it does not answer or is none of Antenna's.
    Errors of the block that PostgreSQL reports become ImportRefusedError as well.
    """
    secret = _password(url)
    try:
        database = psycopg2.connect(url, connect_timeout=SECONDS_TO_CONNECT, options=SESSION)
    except psycopg2.Error as error:
        raise ImportRefusedError(f"Cannot connect to --database: {_words(error, secret)}") from None
    try:
        database.set_session(ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        database.set_client_encoding("UTF8")
        source = Source(database)
        source.read_columns()
        yield source
    except psycopg2.Error as error:
        raise ImportRefusedError(
            f"The Antenna database reports an error, and nothing was written: {_words(error)}"
        ) from None
    finally:
        database.close()


def _password(url: str) -> str:
    """Return the password in a URL. Raises ImportRefusedError if it is no address of PostgreSQL."""
    try:
        parts = parse_dsn(url)
    except psycopg2.Error:
        parts = {}
    if not parts.get("dbname"):
        raise ImportRefusedError(f"--database must be an address such as {EXAMPLE}.")
    return str(parts.get("password", ""))


def _words(error: Exception, secret: str = "") -> str:
    """Return the message of PostgreSQL as one sentence without the password."""
    text = " ".join(str(error).split()) or "the connection was closed"
    if secret:
        text = text.replace(secret, "***")
    return f"{text.rstrip('.')}."


def _noun(kind: str, missing: Sequence[str]) -> str:
    return kind if len(missing) == 1 else f"{kind}s"
