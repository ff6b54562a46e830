"""Which errors say something about the rows, and which only about the moment."""

from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection

from ami.base.faults import sqlstate

# By SQLSTATE or its class: connection, a session that was read-only or waited for too long,
# rollback (deadlock), resources, lock or lack of it, operator's intervention, system.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
TRANSIENT_CODES = ("08", "25006", "25P03", "25P04", "40", "53", "55", "57", "58")
# A connection that breaks has no code; psycopg2 raises the general class, too, where the server
# closes it in the middle of an answer.
WITHOUT_CODE = (DatabaseError, InterfaceError, OperationalError)


def is_transient(error: BaseException) -> bool:
    """Whether the same batch may well pass when it is tried again."""
    if not isinstance(error, Error):
        return False
    code = sqlstate(error)
    return code.startswith(TRANSIENT_CODES) if code else type(error) in WITHOUT_CODE


def drop_dead_connection() -> None:
    """Let the next query connect anew, if the present connection is gone."""
    if connection.in_atomic_block or connection.connection is None:
        return
    if not connection.is_usable():
        connection.close()
