"""The formats that the project reads. Each module of :mod:`.formats` registers one.

Name lists, in whichever of their own formats, are one more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.utils.text import Truncator

from ami.base.registry import Registry
from ami.exchange.base import ImportRefusedError
from ami.exchange.name_lists.base import LIST_FORMATS
from ami.exchange.reading.dwca import TAXON
from ami.exchange.reading.records import Item
from ami.exchange.reading.start import Kind, Start, start_of

LONGEST_NAME = 60  # characters of a message
# Columns by which the tables of packages are known, of which one alone cannot be imported.
CAMTRAP_DP = frozenset({"deploymentid"})
DARWIN_CORE = frozenset({"scientificname", "occurrenceid", "decimallatitude"})


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format that can be imported.

    `recognises` tells whether a path that starts so has this format.
    """

    key: str
    name: str
    description: str
    recognises: Callable[[Start], bool]


@dataclass(frozen=True, kw_only=True)
class Reader(Format):
    """A format of occurrences or detections.

    `read` yields what the path contains, one item at a time and in the same order at each call, so
    that memory does not grow with the file. A fault is yielded, and reading goes on after it where
    that is possible; `read` raises ImportRefusedError where it is not.
    """

    read: Callable[[Path], Iterator[Item]]


READERS: Registry[Reader] = Registry("format that can be imported")


def register(reader: Reader) -> None:
    READERS.register(reader.key, reader)


def _is_name_list(start: Start) -> bool:
    """Whether it is an archive of taxa, or a table with the columns of a list, or with names."""
    return start.core == TAXON or (
        start.kind == Kind.TABLE
        and (
            (len(start.columns) == 1 and "".join(start.columns).isprintable())
            or any(start.columns.issuperset(one.columns) for one in LIST_FORMATS.values())
        )
    )


NAME_LIST = Format(
    key="name_list",
    name="a name list",
    description="Taxa: a checklist or a species list of GBIF, a table or an archive in Darwin "
    "Core, or one name per line.",
    recognises=_is_name_list,
)


def format_named(key: str) -> Format:
    """Return the format with a key. Raises UnknownKeyError."""
    return NAME_LIST if key == NAME_LIST.key else READERS[key]


def format_of(path: Path, *, encoding: str | None = None) -> Format:
    """Return the format of `path`. `encoding` is that of a text, unless it can be recognised.

    Raises ImportRefusedError, which says what was recognised, if no format fits.
    """
    start = start_of(path, encoding=encoding)
    if found := recognised(start):
        return found
    raise ImportRefusedError(_unknown(start))


def recognised(start: Start) -> Format | None:
    """Return the format of a path that starts so, or None."""
    return next((one for one in (*READERS.values(), NAME_LIST) if one.recognises(start)), None)


def reader_of(path: Path, *, key: str = "") -> Reader:
    """Return the reader of `path`, which must be `key` if that is given.

    Raises ImportRefusedError, which says what was recognised, if no reader or another one fits.
    """
    found = format_of(path)
    if not isinstance(found, Reader):
        raise ImportRefusedError(f"{path} is {found.name}. Import it with import_taxa.")
    if key and key != found.key:
        raise ImportRefusedError(f"{path} is {found.name} ({found.key}), not {READERS[key].name}.")
    return found


def _unknown(start: Start) -> str:
    seen = sorted(start.columns or start.keys.get("") or start.keys or start.names)
    told = ", ".join(Truncator(one).chars(LONGEST_NAME) for one in seen[:8]) + (
        ", …" if len(seen) > 8 else ""
    )
    contains = f" with {told}" if told else ""
    known = ", ".join((*READERS, NAME_LIST.key))
    return (
        f"{start.path} is {start.kind}{contains}, which is in none of the formats that can be "
        f"imported: {known}.{_remedy(start)}"
    )


def _remedy(start: Start) -> str:
    if start.kind == Kind.ARCHIVE and len(start.names) == 1:
        return " Unpack it, and import the file in it."
    if start.columns >= CAMTRAP_DP:
        return " It is a table of a Camtrap DP package: import the folder of its datapackage.json."
    if start.columns & DARWIN_CORE:
        return " If it is a table of a Darwin Core Archive, import the archive with its meta.xml."
    return ""
