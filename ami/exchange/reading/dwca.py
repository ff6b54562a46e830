"""The tables of a Darwin Core Archive, as its meta.xml describes them."""

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

from ami.exchange.base import ImportRefusedError, shown
from ami.exchange.reading.files import Files
from ami.exchange.reading.rows import Row
from ami.exchange.tables import csv_reader, lines_of

META = "meta.xml"
TAXON = "Taxon"  # the core of an archive that is a name list
SPACE = "{http://rs.tdwg.org/dwc/text/}"
ESCAPES = (("\\t", "\t"), ("\\n", "\n"), ("\\r", "\r"))
BROKEN = (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError)


class DwcTable(NamedTuple):
    """A table: its rows' type, such as "Event", its files, and how they are written.

    `columns` maps the names of terms in lower case to the numbers of cells, and `constants` to the
    same value for all rows. `key` is the number of the cell with the id of a row of the core.
    """

    kind: str
    files: tuple[str, ...]
    key: int
    columns: Mapping[str, int]
    constants: Mapping[str, str]
    encoding: str
    separator: str
    quote: str
    headers: int

    def rows(self, files: Files) -> Iterator[tuple[str, Row]]:
        """Yield the id of the core and the cells by term. Raises ImportRefusedError."""
        for name in self.files:
            with files.open(name) as file:
                for number, cells in self._lines(name, file):
                    if number > self.headers and any(cells):
                        yield _cell(cells, self.key), self._row(f"{name}, line {number}", cells)

    def _row(self, place: str, cells: list[str]) -> Row:
        values = {term: _cell(cells, index) for term, index in self.columns.items()}
        for term, value in self.constants.items():
            values[term] = values.get(term) or value
        return Row(place, values)

    def _lines(self, name: str, file: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
        number = 0
        try:
            # Without quotes, the lines end where the writer says, and nowhere else.
            newline = "" if self.quote else "\n"
            with io.TextIOWrapper(file, self.encoding, newline=newline) as text:
                if not self.quote:
                    for number, line in enumerate(lines_of(name, text), start=1):
                        yield number, line.rstrip("\r\n").split(self.separator)
                    return
                lines = lines_of(name, text)
                reader = csv_reader(lines, delimiter=self.separator, quotechar=self.quote)
                for cells in reader:
                    number = reader.line_num
                    yield number, cells
        except UnicodeError:
            raise ImportRefusedError(f"{name} is not {self.encoding} text.") from None
        except csv.Error as error:
            sentence = f"{name}, line {number + 1}: is not valid CSV, {error}."
            raise ImportRefusedError(sentence) from None


def _cell(cells: list[str], index: int) -> str:
    return cells[index].strip() if index < len(cells) else ""


def core_of(path: Path, names: Collection[str]) -> str:
    """Return what the rows of the core are, such as "Taxon"; empty if the archive does not tell."""
    if not any(name.rpartition("/")[2] == META for name in names):
        return ""
    with suppress(ImportRefusedError), Files.opened(path, META) as files:
        return tables_of(files)[0].kind
    return ""


def tables_of(files: Files) -> list[DwcTable]:
    """Return the core, then the extensions. Raises ImportRefusedError."""
    root = _root(files.text(META))
    core = root.find(f"{SPACE}core")
    if core is None:
        raise ImportRefusedError(f"{META} describes no core.")
    return [_table(core, "id"), *(_table(one, "coreid") for one in root.iter(f"{SPACE}extension"))]


def _root(content: bytes) -> Any:
    """Return the document. One with a document type is refused: it may unfold to gigabytes."""
    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = _refuse
    try:
        guard.Parse(content, True)
        return ElementTree.fromstring(content)  # noqa: S314 -- it has no document type
    except ImportRefusedError:
        raise
    except BROKEN as error:
        raise ImportRefusedError(f"{META} is not XML: {error}.") from None


def _refuse(*_: object) -> None:
    raise ImportRefusedError(f"{META} has a document type, which is not allowed.")


def _table(element: Any, key: str) -> DwcTable:
    fields = element.findall(f"{SPACE}field")
    described = element.find(f"{SPACE}{key}")
    encoding = element.get("encoding") or "UTF-8"
    files = [str(one.text or "").strip() for one in element.iter(f"{SPACE}location")]
    columns: dict[str, int] = {}
    for one in fields:
        if one.get("index") is not None:
            columns.setdefault(_name(one.get("term")), _number(one, "index"))
    return DwcTable(
        kind=_last(element.get("rowType")),
        files=tuple(filter(None, files)),
        key=0 if described is None else _number(described, "index"),
        columns=columns,
        constants={_name(one.get("term")): one.get("default") or "" for one in fields},
        encoding=_encoding(encoding),
        separator=_character(element, "fieldsTerminatedBy", ","),
        quote=_character(element, "fieldsEnclosedBy", '"', may_be_empty=True),
        headers=_number(element, "ignoreHeaderLines"),
    )


def _last(term: str | None) -> str:
    return (term or "").replace("#", "/").rpartition("/")[2]


def _name(term: str | None) -> str:
    return _last(term).lower()


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        raise ImportRefusedError(
            f"{META} names the encoding {shown(name)}, which is not known; save the files as UTF-8."
        ) from None
    return "utf-8-sig" if name.lower() in {"utf-8", "utf8"} else name


def _number(element: Any, name: str) -> int:
    text = element.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise ImportRefusedError(f"{META}: {name} must be a whole number, got {shown(text)}.")
    return int(text)


def _character(element: Any, name: str, default: str, *, may_be_empty: bool = False) -> str:
    text = element.get(name, default)
    for written, meant in ESCAPES:
        text = text.replace(written, meant)
    if not text and may_be_empty:
        return ""
    if len(text) != 1 or text in "\r\n\0":
        raise ImportRefusedError(f"{META}: {name} must be one character, got {shown(text)}.")
    return str(text)
