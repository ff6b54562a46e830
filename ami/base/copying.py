"""Insertion of many rows by COPY, which takes about a ninth of the time of `bulk_create`."""

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, models
from django.utils import timezone

CHUNK = 2**16  # characters
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NEXT_IDS = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"


def next_ids(model: type[models.Model], number: int) -> list[int]:
    """Return ids for new rows, so that rows which refer to them can be made before."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_IDS, [model._meta.db_table, number])
        return [pk for (pk,) in cursor.fetchall()]


def copy_rows(
    model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert rows, whose values are those of the attributes `names` in this order.

    Values are numbers, texts without NUL, truths, aware times, lists of numbers, or None. Other
    fields have their defaults. Triggers and constraints act as for any other insertion, signals do
    not.
    """
    given = set(names)
    defaults = {
        field.attname: value
        for field in model._meta.concrete_fields
        if not (field.attname in given or field.generated or field.primary_key)
        if (value := _default(field)) is not None
    }
    columns = {field.attname: str(field.column) for field in model._meta.concrete_fields}
    written = ", ".join(f'"{columns[name]}"' for name in [*names, *defaults])
    ending = "".join(f"\t{as_text(value)}" for value in defaults.values()) + "\n"
    lines = ("\t".join(map(as_text, row)) + ending for row in rows)
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {model._meta.db_table} ({written}) FROM STDIN", _Lines(lines))


def _default(field: Any) -> Any:
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return timezone.now()
    if field.has_db_default():
        return None
    return field.get_default()


def as_text(value: Any) -> str:
    """Return a value as the text format of COPY has it."""
    match value:
        case None:
            return "\\N"
        case str():
            return value.translate(ESCAPED)
        case bool():
            return "t" if value else "f"
        case datetime():
            return value.isoformat()
        case list() | tuple():
            return "{" + ",".join(map(repr, value)) + "}"
    return repr(value)


class _Lines(io.TextIOBase):
    """The lines as a file, so that only a chunk of them is in memory."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._rest = ""

    def read(self, size: int | None = CHUNK) -> str:
        parts, length = [self._rest], len(self._rest)
        wanted = size or CHUNK
        while length < wanted and (line := next(self._lines, None)) is not None:
            parts.append(line)
            length += len(line)
        text = "".join(parts)
        self._rest = text[wanted:]
        return text[:wanted]
