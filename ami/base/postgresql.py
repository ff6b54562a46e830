"""The supported versions of PostgreSQL, and how it reads a few rows of a long table."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

OLDEST, NEWEST = 15, 18
WHOLE_TABLE_WAYS = ("seqscan", "hashjoin", "mergejoin")


def unsupported_version() -> str:
    """Return why the version of the server is not supported, or "" if it is.

    Raises OperationalError if the server does not answer.
    """
    version: int = connection.pg_version // 10_000  # type: ignore[attr-defined]
    if OLDEST <= version <= NEWEST:
        return ""
    return (
        f"The database runs on PostgreSQL {version}; versions {OLDEST} to {NEWEST} are supported."
    )


@contextmanager
def through_indexes() -> Iterator[None]:
    """Keep the planner from reading a whole table if a query reads a large part of it.

    Hash and merge joins would also read the whole table, even through an index.
    """
    is_nested = connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_set_to("off"))
        yield
        if is_nested:  # otherwise, the end of the transaction resets them
            cursor.execute(_set_to("DEFAULT"))


def _set_to(value: str) -> str:
    return "; ".join(f"SET LOCAL enable_{way} = {value}" for way in WHOLE_TABLE_WAYS)
