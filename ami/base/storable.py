"""Conversion of values for PostgreSQL, which stores neither NUL characters nor lone surrogates."""

from math import isfinite
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

DEEPEST = 20
LONGEST_NUMBER_BITS = 4_096


def storable_text(value: object) -> str:
    """Return the text of `value` without NUL characters and with "?" for lone surrogates.

    If `str()` fails, the name of the type is returned.
    """
    try:
        return str(value).replace("\x00", "").encode(errors="replace").decode()
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        return f"<{type(value).__name__}>"


def storable(value: Any, *, within: tuple[int, ...] = ()) -> Any:
    """Return `value` in a form that a JSON column can store.

    Values that JSON does not support become text. So do values that are nested too deeply or
    contain themselves, and numbers with more than 1,200 digits. `within` has the identities of the
    containing values.
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
