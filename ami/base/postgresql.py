"""The supported versions of PostgreSQL."""

from django.db import connection

OLDEST, NEWEST = 15, 18


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
