from collections.abc import Callable, Generator, Iterable
from typing import Any, ClassVar

from django.db.models import Model
from pydantic import ConstrainedInt
from pydantic.errors import IntegerError

MAX_ID = 2**63 - 1


def parse_id(text: str) -> int | None:
    """Parse an id. Return None if `text` is not decimal digits, or too large for a bigint."""
    if not text.isdecimal() or len(text) > len(str(MAX_ID)):
        return None
    number = int(text)
    return number if number <= MAX_ID else None


def stored_id(value: Any) -> int | None:
    """Return a value of stored JSON as an id. None if it can be the id of no row."""
    return value if type(value) is int and 0 < value <= MAX_ID else None


def stored_ids(value: Any) -> list[int]:
    """Return the ids of a stored list; what is not an id, or no list, is left out."""
    return [pk for pk in value if stored_id(pk)] if isinstance(value, list) else []


def parse_ids(texts: Iterable[str], *, noun: str) -> set[int]:
    """Parse ids. Raises ValueError with a sentence for the first invalid one."""
    ids = set()
    for text in texts:
        pk = parse_id(text)
        if pk is None:
            raise ValueError(f"{text[:50]!r} is not the id of one of the {noun}.")
        ids.add(pk)
    return ids


def id_array(ids: Iterable[int]) -> str:
    """The ids as one literal of type bigint[].

    Psycopg turns a list into an expression with one constant per id. For thousands of ids, writing
    and parsing that takes several times as long as reading the literal.
    """
    return f"{{{','.join(map(str, ids))}}}"


class RowId(ConstrainedInt):
    """The id of a row. True and 1.7 are invalid, although `int()` accepts them.

    A subclass sets `model` if the row must exist when a run is launched.
    """

    model: ClassVar[type[Model] | None] = None
    ge = 1
    le = MAX_ID

    @classmethod
    def __get_validators__(cls) -> Generator[Callable[..., Any], None, None]:
        yield cls._refuse_inexact
        yield from super().__get_validators__()

    @staticmethod
    def _refuse_inexact(value: Any) -> Any:
        if isinstance(value, bool | float):
            raise IntegerError
        return value
