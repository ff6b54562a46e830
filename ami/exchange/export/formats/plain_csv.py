"""CSV for spreadsheets: one row per occurrence, with readable names and where they come from."""

import csv
from codecs import BOM_UTF8
from collections.abc import Iterable
from io import TextIOWrapper
from typing import IO, Any

from ami.base.spreadsheets import FIRST, protected
from ami.exchange.export.columns import COLUMNS, NAMES, cells
from ami.exchange.export.registry import Format, register
from ami.exchange.export.source import Source

# Where values of a type stand: to ask each value for its type would take half of the time.
TEXTS, TRUTHS = (
    [place for place, column in enumerate(COLUMNS) if column.type is kind] for kind in (str, bool)
)


def write(source: Source, target: IO[bytes]) -> None:
    target.write(BOM_UTF8)  # without it, Excel reads the file as Latin-1
    of = cells(source, source.iso)
    write_csv(target, [NAMES], (texts(of(one)) for one in source.occurrences()))


def write_csv(
    target: IO[bytes], heads: Iterable[Iterable[Any]], rows: Iterable[Iterable[Any]]
) -> None:
    """Write rows as UTF-8, and leave the file open."""
    wrapper = TextIOWrapper(target, encoding="utf-8", errors="replace", newline="")
    try:
        writer = csv.writer(wrapper)
        writer.writerows(heads)
        writer.writerows(rows)
    finally:
        wrapper.flush()
        wrapper.detach()


def texts(values: Iterable[Any]) -> list[Any]:
    """Return the values of :data:`COLUMNS` as cells, with protected texts."""
    row = list(values)
    for place in TEXTS:
        value = row[place]
        if value and value[0] in FIRST:
            row[place] = protected(value)
    for place in TRUTHS:
        if row[place] is not None:
            row[place] = "true" if row[place] else "false"
    return row


register(
    Format(
        key="csv",
        name="CSV for spreadsheets",
        suffix=".csv",
        media_type="text/csv; charset=utf-8",
        write=write,
        passes=("occurrences",),
        description="One row per occurrence, with readable names, who identified it, and the run.",
    )
)
