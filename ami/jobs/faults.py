"""Which errors say something about the rows, and which only about the moment."""

from django.db import InterfaceError, OperationalError, connection

# By class of SQLSTATE: connection, rollback (deadlock), resources, lock or lack of it, operator's
# intervention, system. https://www.postgresql.org/docs/current/errcodes-appendix.html
TRANSIENT_CLASSES = ("08", "25", "40", "53", "55", "57", "58")
TRANSIENT = (InterfaceError, OperationalError)


def is_transient(error: BaseException) -> bool:
    """Whether the same batch may well pass when it is tried again."""
    if isinstance(error, TRANSIENT):
        code = getattr(error.__cause__, "pgcode", None)
        return code is None or code.startswith(TRANSIENT_CLASSES)
    return False


def drop_dead_connection() -> None:
    """Let the next query connect anew, if the present connection is gone."""
    if connection.in_atomic_block or connection.connection is None:
        return
    if not connection.is_usable():
        connection.close()
