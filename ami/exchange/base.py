"""Functions shared by the importers."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.models import Model

MAX_FAULTS = 10
# The keys of what is told of a deployment where a format has no columns for it.
TIME_ZONE, NIGHT_STARTS = "timeZone", "nightStarts"
NOT_TEXT = re.compile("[\0\ud800-\udfff]")  # PostgreSQL stores none of these


class ImportRefusedError(ValueError):
    """The file or the database does not allow the import; nothing was written.

    The message has one line for each of the first ten faults, and the number of the others, to
    which `more` is added.
    """

    def __init__(self, *faults: str, more: int = 0) -> None:
        lines = list(faults[:MAX_FAULTS])
        if left_out := len(faults) - len(lines) + more:
            lines.append(f"… and {left_out:,} more.")
        super().__init__("\n".join(lines))


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, without a byte order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportRefusedError(
            f"{path} is not UTF-8 text (see byte {error.start}); save it as UTF-8."
        ) from None
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from None


def cannot_read(path: Path, error: Exception) -> ImportRefusedError:
    reason = getattr(error, "strerror", None) or str(error)
    return ImportRefusedError(f"Cannot read {path}: {reason}.")


def shown(value: Any, *, length: int = 60) -> str:
    """Return a value as JSON, shortened for a message."""
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def check_text(value: Any, *, length: int) -> str:
    if not isinstance(value, str) or not any(map(_is_visible, value)):
        raise ValueError("must be a non-empty text")
    if len(value) > length:
        raise ValueError(f"must be at most {length} characters long")
    if NOT_TEXT.search(value):
        raise ValueError("must be a text without NUL characters and lone surrogates")
    return value


def _is_visible(character: str) -> bool:
    """Whether it is more than a blank, or a mark such as that of the direction of a text."""
    return character.isprintable() and not character.isspace()


def option_name(option: str, value: str) -> str:
    """Return a name given on the command line, or raise ImportRefusedError."""
    try:
        return check_text(value, length=255).strip()
    except ValueError as error:
        raise ImportRefusedError(f"{option}: {error}, got {shown(value)}.") from None


def one_name(names: Sequence[Any], *, noun: str, name: str) -> None:
    """Raise ImportRefusedError if several rows have a name that should be unique."""
    if len(names) > 1:
        ids = ", ".join(str(row.pk) for row in names)
        raise ImportRefusedError(
            f"{len(names)} {noun}s have the name {name!r} (ids {ids}); rename all but one."
        )


def wait_for_turn(work: str, *, on_wait: Callable[[], object] | None = None) -> None:
    """Lock `work` until the transaction ends, so that such imports run one after the other.

    `on_wait` is called first if another import has the lock.
    """
    with connection.cursor() as cursor:
        if on_wait:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [work])
            if cursor.fetchone()[0]:
                return
            on_wait()
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [work])


def known_rows(model: type[Model]) -> float:
    """Return how many rows PostgreSQL believes a table to have when it plans statements."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table]
        )
        return max(0.0, float(cursor.fetchone()[0]))


def refresh_statistics(*models: type[Model]) -> None:
    """Update PostgreSQL's statistics with the rows that the transaction has written.

    Autovacuum does so only after the commit. Until then, statements on tables that were empty
    before would be planned for no rows.
    """
    tables = ", ".join(model._meta.db_table for model in models)
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {tables}")
