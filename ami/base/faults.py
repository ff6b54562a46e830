"""Which errors say that the code is wrong, and not the rows that it met."""

from django.core.exceptions import FieldError
from django.db import Error, NotSupportedError, ProgrammingError

# Syntax or access rule (an undefined function, table or column), feature not supported, schema.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
PROGRAMMING_CODES = ("42", "0A", "3F")
# Of the driver or of Django, before the server has seen the statement: a parameter of a type that
# no column takes, a query that cannot be compiled.
WITHOUT_CODE = (ProgrammingError, NotSupportedError)
PROGRAMMING_ERRORS = (NameError, AttributeError, TypeError, ImportError, FieldError)


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of an error that Django has raised, empty where there is none."""
    return getattr(error.__cause__, "pgcode", None) or ""


def is_programming_error(error: BaseException) -> bool:
    """Whether the same error would come of any rows, so that it is no use to try fewer of them."""
    if isinstance(error, Error):
        code = sqlstate(error)
        return code.startswith(PROGRAMMING_CODES) if code else isinstance(error, WITHOUT_CODE)
    return isinstance(error, PROGRAMMING_ERRORS)
