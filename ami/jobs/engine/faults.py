"""Tell transient errors and programming errors from errors that the rows cause."""

from django.core.exceptions import FieldError
from django.db import (
    DatabaseError,
    Error,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
)

# SQLSTATE codes or classes: connection, a read-only or timed-out session, rollback (deadlock),
# resources, lock not available, operator intervention, system.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
TRANSIENT_CODES = ("08", "25006", "25P03", "25P04", "40", "53", "55", "57", "58")
# A broken connection has no code. If the server closes it in the middle of an answer, psycopg2
# raises the general class.
BROKEN = (DatabaseError, InterfaceError, OperationalError)

# Syntax error or access rule violation (such as an undefined function, table or column), feature
# not supported, and invalid schema name.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
PROGRAMMING_CODES = ("42", "0A", "3F")
# Of the driver or of Django, before the server has seen the statement: a parameter of a type that
# no column takes, a query that cannot be compiled.
UNSENT = (ProgrammingError, NotSupportedError)
PROGRAMMING_ERRORS = (NameError, AttributeError, TypeError, ImportError, FieldError)


def sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's code of an error that Django has raised, or "" if there is none."""
    return getattr(error.__cause__, "pgcode", None) or ""


def is_programming_error(error: BaseException) -> bool:
    """Whether the error does not depend on the rows, so that trying fewer of them is useless."""
    if isinstance(error, Error):
        code = sqlstate(error)
        return code.startswith(PROGRAMMING_CODES) if code else isinstance(error, UNSENT)
    return isinstance(error, PROGRAMMING_ERRORS)


def is_transient(error: BaseException) -> bool:
    """Whether the same batch may succeed when it is retried."""
    if not isinstance(error, Error):
        return False
    code = sqlstate(error)
    return code.startswith(TRANSIENT_CODES) if code else type(error) in BROKEN


def drop_dead_connection() -> None:
    """Close a dead connection, so that the next query opens a new one."""
    if connection.in_atomic_block or connection.connection is None:
        return
    if not connection.is_usable():
        connection.close()
