"""A parser for JSON typed by people, which accepts only what PostgreSQL and Celery can store."""

import json
from collections import Counter
from math import isfinite
from typing import Any, NoReturn

DEEPEST = 100
DIGITS = 1_000
SHOWN = 20


class JSONTextError(ValueError):
    """The text is not JSON that can be stored; the message has the reason and a remedy."""


def parse_json(text: str) -> Any:
    """Return the value of `text`, which may begin with a byte order mark.

    Raises JSONTextError for invalid JSON, and for JSON that cannot be stored: NaN and infinite
    numbers, numbers with more than `DIGITS` digits, duplicate keys, NUL characters, halves of
    surrogate pairs, and more than `DEEPEST` nested levels.
    """
    try:
        value = json.loads(
            text.removeprefix("\ufeff"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_short,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as fault:
        where = f"line {fault.lineno}, column {fault.colno}"
        raise JSONTextError(f"Enter a valid JSON. At {where}: {fault.msg}.") from None
    except RecursionError:
        raise _too_deep() from None
    _check(value)
    return value


def _check(value: Any) -> None:
    """Check every text and level of a value, without recursion."""
    level = [value]
    for _ in range(DEEPEST + 1):
        if not level:
            return
        inner: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, list):
                inner.extend(item)
            elif isinstance(item, dict):
                inner.extend(item)
                inner.extend(item.values())
        level = inner
    if any(isinstance(item, list | dict) for item in level):
        raise _too_deep()
    for item in level:
        if isinstance(item, str):
            _check_text(item)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise JSONTextError(r"A text contains a NUL character (\u0000); remove it.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise JSONTextError(
            r"A text contains one half of a surrogate pair (\ud800 to \udfff); enter the whole "
            "character."
        )


def _refuse_constant(name: str) -> NoReturn:
    raise JSONTextError(f"{name} is not a valid JSON number; use null or a finite number.")


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise JSONTextError(f"{_shown(digits)} is too large for a number; enter it as a text.")
    return number


def _short(digits: str) -> int:
    if len(digits) > DIGITS:
        raise JSONTextError(
            f"A number has {len(digits):,} digits, more than {DIGITS:,}; enter it as a text."
        )
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        doubled = next(
            name for name, times in Counter(name for name, _ in pairs).items() if times > 1
        )
        raise JSONTextError(f"The key {_shown(doubled)!r} occurs more than once; keep one.")
    return values


def _too_deep() -> JSONTextError:
    return JSONTextError(f"The value has more than {DEEPEST} nested levels; flatten it.")


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
