"""The versions of PostgreSQL that the project is tested on."""

from django.db import connection

OLDEST, NEWEST = 15, 18


def unsupported_version() -> str:
    """Why the server of the database does not serve; empty where it does.

    Raises OperationalError where the server does not answer.
    """
    version: int = connection.pg_version // 10_000  # type: ignore[attr-defined]
    if OLDEST <= version <= NEWEST:
        return ""
    return (
        f"The database runs on PostgreSQL {version}; versions {OLDEST} to {NEWEST} are supported."
    )
