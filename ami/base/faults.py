"""Which errors say that the code is wrong, and not the rows that it met."""

from django.core.exceptions import FieldError
from django.db import Error

# Syntax or access rule (an undefined function, table or column), feature not supported, schema.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
PROGRAMMING_CODES = ("42", "0A", "3F")
PROGRAMMING_ERRORS = (NameError, AttributeError, TypeError, ImportError, FieldError)


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of an error that Django has raised, empty where there is none."""
    return getattr(error.__cause__, "pgcode", None) or ""


def is_programming_error(error: BaseException) -> bool:
    """Whether the same error would come of any rows, so that it is no use to try fewer of them."""
    if isinstance(error, Error):
        return sqlstate(error).startswith(PROGRAMMING_CODES)
    return isinstance(error, PROGRAMMING_ERRORS)
