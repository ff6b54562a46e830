"""Values made fit for PostgreSQL, which takes neither NUL characters nor half characters."""

from math import isfinite
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

DEEPEST = 20
LONGEST_NUMBER_BITS = 4_096


def storable_text(value: object) -> str:
    """The text of `value` without NUL characters; a lone surrogate becomes a question mark.

    What cannot tell its text is told by its type.
    """
    try:
        return str(value).replace("\x00", "").encode(errors="replace").decode()
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        return f"<{type(value).__name__}>"


def storable(value: Any, *, within: tuple[int, ...] = ()) -> Any:
    """`value` as a JSON column can hold it; what JSON does not know becomes its text.

    So does what is nested too deeply or holds itself, and a number of more than 1,200 digits.
    `within` has the identities of what holds it.
    """
    try:
        return _storable(value, within)
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        return storable_text(value)


def _storable(value: Any, within: tuple[int, ...]) -> Any:
    inner = (*within, id(value))
    stored: Any
    match value:
        case _ if id(value) in within or len(within) > DEEPEST:
            stored = storable_text(value)
        case None | bool():
            stored = value
        case int() if value.bit_length() <= LONGEST_NUMBER_BITS:
            stored = int(value)
        case float() if isfinite(value):
            stored = float(value)
        case dict():
            stored = {storable_text(k): storable(item, within=inner) for k, item in value.items()}
        case list() | tuple():
            stored = [storable(item, within=inner) for item in value]
        case _ if hasattr(value, "tolist"):
            stored = storable(value.tolist(), within=inner)
        case _:
            stored = storable_text(value)
    return stored
