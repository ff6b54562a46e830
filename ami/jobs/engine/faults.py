"""Tell transient errors from errors that the rows cause."""

from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection

from ami.base.faults import sqlstate

# SQLSTATE codes or classes: connection, a read-only or timed-out session, rollback (deadlock),
# resources, lock not available, operator intervention, system.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
TRANSIENT_CODES = ("08", "25006", "25P03", "25P04", "40", "53", "55", "57", "58")
# A broken connection has no code. If the server closes it in the middle of an answer, psycopg2
# raises the general class.
WITHOUT_CODE = (DatabaseError, InterfaceError, OperationalError)


def is_transient(error: BaseException) -> bool:
    """Whether the same batch may succeed when it is retried."""
    if not isinstance(error, Error):
        return False
    code = sqlstate(error)
    return code.startswith(TRANSIENT_CODES) if code else type(error) in WITHOUT_CODE


def drop_dead_connection() -> None:
    """Close a dead connection, so that the next query opens a new one."""
    if connection.in_atomic_block or connection.connection is None:
        return
    if not connection.is_usable():
        connection.close()
