"""Reading of a name list, whatever its format."""

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ami.exchange.base import ImportRefusedError
from ami.exchange.name_lists import checklist, darwin_core, gbif, plain  # noqa: F401 -- registers
from ami.exchange.name_lists.base import LIST_FORMATS, ListedName, ListFormat, Row, SkippedName
from ami.exchange.reading.dwca import META, TAXON, tables_of
from ami.exchange.reading.files import Files
from ami.exchange.reading.start import start_of
from ami.exchange.tables import Cells, Table, open_table

PLAIN = LIST_FORMATS["plain"]
DARWIN_CORE = LIST_FORMATS["darwin_core"]
USUAL = LIST_FORMATS["checklist"]
MOST_ROWS = 500_000  # a list is compared as a whole, in memory


class NameList(NamedTuple):
    """The names of a list, and the rows that name no taxon; `title` is its format."""

    names: list[ListedName]
    skipped: list[SkippedName]
    title: str = ""


def read_name_list(path: Path, *, encoding: str | None = None) -> NameList:
    """Read a name list; the format is recognised by its columns.

    Raises ImportRefusedError with the place of each fault.
    """
    if start_of(path, encoding=encoding).core == TAXON:
        found, rows = DARWIN_CORE, _rows_of_archive(path)
    else:
        found, rows = _rows_of_table(path, encoding)
    if len(rows) > MOST_ROWS:
        raise ImportRefusedError(f"{path} has more than {MOST_ROWS:,} rows. Divide it.")
    if found.prepare:
        found.prepare([row for _, row in rows])
    names = _read_rows(found, rows)
    if not names.names:
        reasons = [f"{one.place}: {one.name!r} {one.reason}" for one in names.skipped]
        raise ImportRefusedError(f"{path} contains no {found.nouns}.", *reasons)
    return names


def _rows_of_table(path: Path, encoding: str | None) -> tuple[ListFormat, list[tuple[str, Row]]]:
    columns = {column for one in LIST_FORMATS.values() for column in one.columns}
    with open_table(path, encoding=encoding, columns=columns) as table:
        header = table.header()
        found = _format(header, raw=table.raw)
        alone = found is PLAIN and len(header.values) < 2
        lines = _plain_rows(header, table) if alone else table.by_column(header)
        return found, list(islice(lines, MOST_ROWS + 1))


def _rows_of_archive(path: Path) -> list[tuple[str, Row]]:
    """Return the taxa of a Darwin Core Archive, without the columns that are not read."""
    with Files.opened(path, META) as files:
        core = tables_of(files)[0]
        if "scientificname" not in {*core.columns, *core.constants}:
            raise ImportRefusedError(f"{path} is an archive of taxa without scientificName.")
        rows = (row for _, row in core.rows(files))
        return [(row.place, _kept(row.cells)) for row in islice(rows, MOST_ROWS + 1)]


def _kept(cells: Mapping[str, str]) -> Row:
    # Most rows have their orders and families in common, which are then in memory once.
    kept = {name: sys.intern(cell) for name in darwin_core.READ if (cell := cells.get(name))}
    return {"scientificname": "", **kept}


def _read_rows(found: ListFormat, rows: list[tuple[str, Row]]) -> NameList:
    names = NameList([], [], found.title)
    faults: list[str] = []
    for place, row in rows:
        try:
            read = found.read(place, row)
        except ValueError as error:
            faults.append(f"{place}: {error}.")
            continue
        if isinstance(read, ListedName):
            names.names.append(read)
        else:
            names.skipped.append(read)
    if faults:
        raise ImportRefusedError(*faults)
    return names


def _format(header: Cells, *, raw: bool) -> ListFormat:
    """Return the format whose columns the header has, and of several the one with most columns."""
    given = {name.lower() for name in header.values if name}
    formats = sorted(LIST_FORMATS.values(), key=lambda one: -len(one.columns))
    whole = [one for one in formats if given.issuperset(one.columns)]
    if whole:
        return whole[0]
    if raw or len(given) == 1:
        return PLAIN
    nearest = max(formats, key=lambda one: (len(given.intersection(one.columns)), one is USUAL))
    missing = [column for column in nearest.columns if column not in given]
    others = ", ".join(one.title for one in formats if one is not nearest)
    raise ImportRefusedError(
        f"line 1: must contain the columns {', '.join(nearest.columns)}, as in {nearest.title}; "
        f"missing: {', '.join(missing)}. Also read: {others}."
    )


def _plain_rows(header: Cells, table: Table) -> Iterator[tuple[str, Row]]:
    """Yield the lines as names; the first one may be a title."""
    if header.values and header.values[0].lower() not in plain.TITLES:
        yield header.place, {"name": header.values[0]}
    for place, values in table.rows:
        yield place, {"name": values[0]}
