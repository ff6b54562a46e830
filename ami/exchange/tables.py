"""Tables as people have them: CSV of any spreadsheet, and Excel workbooks.

The separator (comma, semicolon, tab or `|`, or that of a first line `sep=;`), the byte order mark
and UTF-16 are recognised. Blank rows and blank columns at the end are skipped. Rows are read one by
one.
"""

import csv
import io
import warnings
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from ami.base.words import counted
from ami.exchange.base import ImportRefusedError, cannot_read, shown

SEPARATORS = ",;\t|"
LONGEST_LINE = 2**24  # characters
LONGEST_CELL = 2**17  # characters
ENCODINGS = {"utf-8": "utf-8-sig", "latin-1": "cp1252", "utf-16": "utf-16"}
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
OLD_EXCEL = b"\xd0\xcf\x11\xe0"
WORKBOOK = b"PK\x03\x04"


class Cells(NamedTuple):
    """One row with its place in the file, such as "line 7"."""

    place: str
    values: list[str]


@dataclass
class Table:
    """The rows of a file, the first of which may be a header.

    `raw` says that lines were not divided into cells, because the file has no separator. `padded`
    says that rows may end before the header does.
    """

    rows: Iterator[Cells]
    raw: bool = False
    padded: bool = False

    def header(self) -> Cells:
        """Return the first row that is not blank, or a blank one if there is none."""
        return next(self.rows, Cells("line 1", []))

    def by_column(self, header: Cells) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield place and cells of each row, by the names of the columns in lower case.

        Raises ImportRefusedError if a column occurs twice, or if a row has too few or too many
        cells.
        """
        names = _columns(header)
        for place, values in self.rows:
            cells = [*values[: len(names)], *filter(None, values[len(names) :])]
            if self.padded:
                cells += [""] * (len(names) - len(cells))
            if len(cells) != len(names):
                raise ImportRefusedError(
                    f"{place}: has {counted(len(cells), 'cell')}, but the header has {len(names)}."
                )
            yield place, {name: cell for name, cell in zip(names, cells, strict=True) if name}


def _columns(header: Cells) -> list[str]:
    """Return the names of the columns in lower case. Raises ImportRefusedError for duplicates."""
    names = [name.lower() for name in header.values]
    while names and not names[-1]:
        names.pop()
    for name, written in zip(names, header.values, strict=False):
        if name and names.count(name) > 1:
            raise ImportRefusedError(
                f"{header.place}: the column {shown(written)} occurs twice; delete or rename one."
            )
    return names


@contextmanager
def open_table(
    path: Path, *, encoding: str | None = None, columns: Collection[str] = ()
) -> Iterator[Table]:
    """Open a table. `encoding` is one of `ENCODINGS`; without it, UTF-8 and UTF-16 are recognised.

    A `.txt` file may be a list of names with commas. Such a file is divided into cells if its first
    line has tabs, or one of the `columns`.

    Raises ImportRefusedError if the file cannot be read. Rows are read from it only when they are
    asked for, and raise ImportRefusedError as well.
    """
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from None
    with file, _table(path, file, encoding, columns) as table:
        yield table


@contextmanager
def open_member(name: str, file: IO[bytes], *, encoding: str | None) -> Iterator[Table]:
    """Open a table of an archive; raises what open_table does.

    `encoding` is any that Python knows. The file is closed at the end.
    """
    try:
        "".encode(encoding or "utf-8")
    except (LookupError, ValueError):
        raise ImportRefusedError(
            f"{name} has the encoding {encoding!r}, which is not known; save it as UTF-8."
        ) from None
    with file, _table(Path(name), file, encoding, ()) as table:
        yield table


@contextmanager
def _table(
    path: Path, file: IO[bytes], encoding: str | None, columns: Collection[str]
) -> Iterator[Table]:
    start = file.read(4)
    file.seek(0)
    if start == OLD_EXCEL:
        raise ImportRefusedError(f"{path} is an old Excel file; save it as .xlsx or CSV.")
    if start == WORKBOOK:
        yield Table(_workbook_rows(path, file), padded=True)
    else:
        encoding = encoding or _encoding(start)
        with io.TextIOWrapper(file, ENCODINGS.get(encoding, encoding), newline="") as text:
            yield _text_table(path, text, encoding, columns)


def _encoding(start: bytes) -> str:
    """Return the encoding that the first bytes show; UTF-16 may come without a mark."""
    if start[:2] in MARKS:
        return "utf-16"
    if len(start) == 4 and not start[1] and not start[3]:
        return "utf-16-le"
    if len(start) == 4 and not start[0] and not start[2]:
        return "utf-16-be"
    return "utf-8"


def _text_table(path: Path, text: IO[str], encoding: str, columns: Collection[str]) -> Table:
    lines = enumerate(_decoded(path, text, encoding), start=1)
    number, first = next(lines, (1, ""))
    separator = None
    if first[:4].lower() == "sep=" and len(first.strip()) == 5:
        separator = first.strip()[4]
        number, first = next(lines, (2, ""))
    while not first.strip():
        number, first = next(lines, (0, ""))
        if not number:
            return Table(iter(()))
    separator = separator or _separator(first)
    if separator not in {None, "\t"} and path.suffix.lower() == ".txt":
        names = first.lower().replace('"', "").strip().split(separator)
        separator = separator if set(columns).intersection(names) else None
    whole = chain([first], (line for _, line in lines))
    if separator is None:
        return Table(_raw_rows(whole, number), raw=True)
    return Table(_csv_rows(whole, separator, number))


def lines_of(name: object, text: IO[str]) -> Iterator[str]:
    """Yield the lines. Raises ImportRefusedError at one that no table has."""
    lines = iter(partial(text.readline, LONGEST_LINE + 1), "")
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            raise ImportRefusedError(
                f"{name} is not a table: line {number} has more than {LONGEST_LINE:,} characters."
            )
        yield line


def _decoded(path: Path, text: IO[str], encoding: str) -> Iterator[str]:
    number = 0
    try:
        for line in lines_of(path, text):
            number += 1
            yield line
    except UnicodeError:  # a mark may be missing, too
        raise ImportRefusedError(
            f"{path} is not {encoding.upper()} text (see line {number + 1} or soon after). Save it "
            "as UTF-8. For a name list, you can also set the option “Encoding” (--encoding), such "
            "as latin-1."
        ) from None


def csv_reader(lines: Iterable[str], **dialect: Any) -> Any:
    """Return a `csv.reader` that raises `csv.Error` at a cell of more than LONGEST_CELL."""
    # The limit is one for the process, and a library may have raised it.
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(lines, **dialect)


def _separator(line: str) -> str | None:
    """Return the separator that divides the line into most cells, or None if none does."""
    try:
        counts = {one: len(next(csv_reader([line], delimiter=one), [])) for one in SEPARATORS}
    except csv.Error:  # a cell that is too long
        return None
    best = max(counts, key=lambda one: counts[one])
    return best if counts[best] > 1 else None


def _raw_rows(lines: Iterable[str], number: int) -> Iterator[Cells]:
    for place, line in enumerate(lines, start=number):
        if line.strip():
            yield Cells(f"line {place}", [line.strip()])


def _csv_rows(lines: Iterable[str], separator: str, number: int) -> Iterator[Cells]:
    reader = csv_reader(lines, delimiter=separator, strict=True)
    try:
        for values in reader:
            cells = [value.strip() for value in values]
            if any(cells):
                yield Cells(f"line {reader.line_num + number - 1}", cells)
    except csv.Error as error:
        place = reader.line_num + number - 1
        raise ImportRefusedError(f"line {place}: is not valid CSV, {error}.") from None


def _workbook_rows(path: Path, file: IO[bytes]) -> Iterator[Cells]:
    """Yield the rows of the first sheet."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of styles that openpyxl does not know
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            cells = [_cell(value) for value in values]
            if any(cells):
                yield Cells(f"row {number}", cells)
    except (KeyError, IndexError, InvalidFileException, SyntaxError, zipfile.BadZipFile):
        raise ImportRefusedError(
            f"{path} is not an Excel workbook; save it as .xlsx or CSV."
        ) from None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value).strip()
