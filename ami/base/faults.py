"""The distinction between programming errors and errors caused by rows."""

from django.core.exceptions import FieldError
from django.db import Error, NotSupportedError, ProgrammingError

# Syntax error or access rule violation (such as an undefined function, table or column), feature
# not supported, and invalid schema name.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
PROGRAMMING_CODES = ("42", "0A", "3F")
# Of the driver or of Django, before the server has seen the statement: a parameter of a type that
# no column takes, a query that cannot be compiled.
WITHOUT_CODE = (ProgrammingError, NotSupportedError)
PROGRAMMING_ERRORS = (NameError, AttributeError, TypeError, ImportError, FieldError)


def sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's code of an error that Django has raised, or "" if there is none."""
    return getattr(error.__cause__, "pgcode", None) or ""


def is_programming_error(error: BaseException) -> bool:
    """Whether the error does not depend on the rows, so that trying fewer of them is useless."""
    if isinstance(error, Error):
        code = sqlstate(error)
        return code.startswith(PROGRAMMING_CODES) if code else isinstance(error, WITHOUT_CODE)
    return isinstance(error, PROGRAMMING_ERRORS)
