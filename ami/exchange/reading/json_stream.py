"""JSON that is read item by item, so that memory does not grow with the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import ijson
import numpy as np

from ami.exchange.base import ImportRefusedError, cannot_read
from ami.exchange.reading.start import DEEPEST, MARK

QUOTE, BACKSLASH = b'"\\'
# By how many levels a byte outside of texts goes down, and another number for quotes.
STEPS = np.zeros(256, np.int32)
STEPS[list(b"[{")], STEPS[list(b"]}")], STEPS[QUOTE] = 1, -1, 2
CHUNK = 2**22  # bytes


def json_items(path: Path, place: str) -> Iterator[Any]:
    """Yield the values at `place`, such as "item" or "images.item", as ijson writes places.

    Numbers become int or float. Raises ImportRefusedError if the file cannot be read or is not
    JSON in UTF-8, maybe after the first values.
    """
    with _opened(path) as file:
        yield from ijson.items(file, place, use_float=True)


def json_value(path: Path, place: str) -> Any:
    """Return the value at `place`, or None; reads no further than it."""
    return next(json_items(path, place), None)


@lru_cache(maxsize=8)
def _is_flat(path: Path, size: int, changed: int) -> bool:
    """Whether no value has more than `DEEPEST` levels, for which the parser would need gigabytes.

    The size and the time of the last change tell the versions of a file apart.
    """
    depth = inside = 0
    tail = np.zeros(2, np.uint8)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found = np.concatenate([tail, np.frombuffer(chunk, np.uint8)])
            at = np.flatnonzero(STEPS[found[2:]]) + 2
            signs, tail = found[at], found[-2:]
            escaped = (found[at - 1] == BACKSLASH) & (found[at - 2] != BACKSLASH)
            within = (np.cumsum((signs == QUOTE) & ~escaped) + inside) % 2 == 1
            depths = depth + np.cumsum(np.where(within | (signs == QUOTE), 0, STEPS[signs]))
            if len(at):
                if depths.max() > DEEPEST:
                    return False
                depth, inside = int(depths[-1]), int(within[-1])
    return True


def json_kind(path: Path, place: str) -> str | None:
    """Return how the value at `place` begins: "start_array", "start_map", "null", "string" …

    Returns None if there is no such value; reads no further than its beginning.
    """
    with _opened(path) as file:
        # Without floats, the parser crashes on integers of more than 4,300 digits.
        events = ijson.parse(file, use_float=True)
        return next((event for prefix, event, _ in events if prefix == place), None)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            now = path.stat()
            if not _is_flat(path, now.st_size, now.st_mtime_ns):
                raise ImportRefusedError(f"{path} has more than {DEEPEST} levels of values.")
            if file.read(len(MARK)) != MARK:
                file.seek(0)
            yield file
    except OSError as error:
        raise cannot_read(path, error) from None
    except UnicodeDecodeError:
        raise ImportRefusedError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except (ijson.JSONError, ValueError) as error:
        if isinstance(error, ImportRefusedError):
            raise
        told = error.args[0] if error.args else "it ends too early"
        if isinstance(told, bytes):  # ijson does so if the text is not UTF-8
            told = told.decode(errors="replace")
        reason, *context = map(str.strip, str(told).splitlines())
        near = f", near {context[0][:60]!r}" if context and context[0] else ""
        raise ImportRefusedError(f"{path} is not JSON: {reason.rstrip('.')}{near}.") from None
