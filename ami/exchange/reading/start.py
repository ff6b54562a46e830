"""What a file, a folder or an archive starts with, by which its format is recognised."""

import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import ijson

from ami.exchange.base import ImportRefusedError, cannot_read
from ami.exchange.reading import files
from ami.exchange.reading.dwca import core_of
from ami.exchange.tables import open_table

LOOKED_AT = 2**18  # bytes of a JSON file
DEEPEST = 100  # levels of JSON; no format has more than ten
MARK = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"


class Kind(StrEnum):
    """What a path is."""

    FOLDER = "a folder"
    ARCHIVE = "a zip archive"
    LIST = "a JSON list"
    OBJECT = "a JSON object"
    TABLE = "a table"


@dataclass(frozen=True)
class Start:
    """What can be told of a path at once.

    `names` holds the files of a folder or an archive, and `columns` the header of a table in lower
    case. `core` is that of a Darwin Core Archive, such as "Taxon". `keys` maps each key of a JSON
    object that was seen to the keys of the object in it, or of the first object of the list in it;
    a JSON list has one key, "".
    """

    path: Path
    kind: Kind
    names: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    core: str = ""
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)


def start_of(path: Path, *, encoding: str | None = None) -> Start:
    """Look at the beginning of `path`; `encoding` is one of those of tables.

    Raises ImportRefusedError if it cannot be read.
    """
    try:
        if path.is_dir():
            names = frozenset(one.name for one in path.iterdir() if not one.name.startswith("."))
            return Start(path, Kind.FOLDER, names=names, core=core_of(path, names))
        with path.open("rb") as file:
            beginning = file.read(LOOKED_AT)
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from None
    if beginning.startswith(files.MARKS):
        with files.open_archive(path) as archive:
            names = frozenset(files.names_of(archive))
        if "[Content_Types].xml" not in names:
            return Start(path, Kind.ARCHIVE, names=names, core=core_of(path, names))
    if not beginning.removeprefix(MARK).strip():
        raise ImportRefusedError(f"{path} is empty.")
    if found := json_start(path, beginning):
        return found
    _refuse_packed_or_utf_16(path, beginning)
    with open_table(path, encoding=encoding) as table:
        header = table.header().values
    columns = frozenset(one.strip().lower() for one in header)
    return Start(path, Kind.TABLE, columns=columns, core=core_of(path, (path.name,)))


def _refuse_packed_or_utf_16(path: Path, beginning: bytes) -> None:
    """Refuse what a table is not, although it can be read as one."""
    if beginning.startswith(GZIP):
        raise ImportRefusedError(f"{path} is packed with gzip. Unpack it, and import its file.")
    text = beginning.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")[:100]
    if b"\0" in text[:2] and text.replace(b"\0", b"").lstrip()[:1] in (b"[", b"{"):
        raise ImportRefusedError(f"{path} is JSON in UTF-16. Save it as UTF-8.")


def json_start(path: Path, beginning: bytes) -> Start | None:
    """Return what the first bytes of a JSON file tell; None if they are no JSON list or object."""
    text = beginning.removeprefix(MARK).lstrip()
    if text[:1] not in (b"[", b"{"):
        return None
    kind = Kind.LIST if text.startswith(b"[") else Kind.OBJECT
    return Start(path, kind, keys=_keys(text))


def _keys(beginning: bytes) -> Mapping[str, frozenset[str]]:
    """Return the keys of the outermost object, and those of the first object below each.

    The value of a key may be an object, or a list of objects; the outermost value, too.
    """
    found: dict[str, set[str]] = {}
    path: list[str] = []  # the key of each open object, "" in a list
    done: set[str] = set()
    for event, value in _events(beginning):
        if event in {"start_map", "start_array"}:
            path.append("")
            if len(path) > DEEPEST:
                break
        elif event in {"end_map", "end_array"}:
            path.pop()
            if path and event == "end_map" and not any(path[1:]):
                done.add(path[0])
        elif event == "map_key":
            path[-1] = value
            if len(path) == 1:
                found.setdefault(value, set())
            elif path[0] not in done and not any(path[1:-1]):
                found.setdefault(path[0], set()).add(value)
    return {key: frozenset(keys) for key, keys in found.items()}


def _events(beginning: bytes) -> Iterator[tuple[str, Any]]:
    """Yield what happens until the text ends or is no longer JSON."""
    with suppress(ijson.JSONError, UnicodeDecodeError, ValueError):
        yield from ijson.basic_parse(io.BytesIO(beginning), use_float=True)
