"""Tables as people have them."""

import csv
from contextlib import suppress
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami.exchange import tables
from ami.exchange.base import ImportRefusedError
from ami.exchange.tables import open_table

ROWS = [["name", "key"], ["Actias luna", "7"], ["Noctua pronuba; à", "8"]]
READ = [("line 2", {"name": "Actias luna", "key": "7"})]
READ += [("line 3", {"name": "Noctua pronuba; à", "key": "8"})]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def read(path: Path, *, encoding: str | None = None) -> list[tuple[str, dict[str, str]]]:
    with open_table(path, encoding=encoding) as table:
        return list(table.by_column(table.header()))


def make_text(separator: str) -> str:
    return "\r\n".join(separator.join(f'"{cell}"' for cell in row) for row in ROWS)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_separator_and_encoding_are_recognised(path: Path, separator: str, encoding: str) -> None:
    path.write_bytes(make_text(separator).encode(encoding))

    assert read(path) == READ


def test_separator_of_the_first_line_is_used(path: Path) -> None:
    path.write_text("sep=;\nname;a,b,c\nActias luna;7\n")

    assert read(path) == [("line 3", {"name": "Actias luna", "a,b,c": "7"})]


def test_latin_1_is_read_by_name_only(path: Path) -> None:
    path.write_bytes(make_text(";").encode("latin-1"))

    with pytest.raises(
        ImportRefusedError, match=r"not UTF-8 text \(see line . .*--encoding.* latin-1"
    ):
        read(path)
    assert read(path, encoding="latin-1") == READ


def test_blank_rows_and_columns_are_skipped(path: Path) -> None:
    path.write_text("\n ,,\nname , key,,\n,,,\nActias luna,7,,\nNoctua pronuba,8\n\n,,,\n")

    assert read(path) == [
        ("line 5", {"name": "Actias luna", "key": "7"}),
        ("line 6", {"name": "Noctua pronuba", "key": "8"}),
    ]


def test_column_that_stands_twice_is_refused(path: Path) -> None:
    path.write_text("name,key,Name\na,b,c\n")

    with pytest.raises(ImportRefusedError, match=r'^line 1: the column "name" occurs twice'):
        read(path)


@pytest.mark.parametrize("row", ["a", "a,b,c"])
def test_row_of_another_length_is_refused(path: Path, row: str) -> None:
    path.write_text(f"name,key\n{row}\n")

    with pytest.raises(ImportRefusedError, match=r"^line 2: has . cells?, but the header has 2\."):
        read(path)


def test_workbook_is_read_as_a_table(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (["name", "key", None], [None], ["Actias luna", 7.0], ["Noctua pronuba"]):
        sheet.append(row)
    path = tmp_path / "table.xlsx"
    book.save(path)

    assert read(path) == [
        ("row 3", {"name": "Actias luna", "key": "7"}),
        ("row 4", {"name": "Noctua pronuba", "key": ""}),
    ]


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_what_is_no_workbook_is_refused(path: Path, start: bytes) -> None:
    path.write_bytes(start + b"nothing")

    with pytest.raises(ImportRefusedError, match=r"Excel .*; save it as \.xlsx or CSV\."):
        read(path)


def test_long_cell_is_refused_even_if_a_library_has_raised_the_limit(path: Path) -> None:
    csv.field_size_limit(2**30)
    path.write_text("x" * 200_000)
    assert read(path) == []
    path.write_text("name,key\n" + "x" * 200_000 + ",1")
    with pytest.raises(ImportRefusedError, match="line 2: is not valid CSV, field larger"):
        read(path)


def test_endless_line_is_refused_before_it_fills_the_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LONGEST_LINE", 1000)
    path.write_text("name,key\n" + "x" * 999 + "\n")
    with pytest.raises(ImportRefusedError, match="has 1 cell"):
        read(path)
    path.write_text("name,key\n" + "x" * 1000 + "\n")
    with pytest.raises(ImportRefusedError, match="not a table: line 2 has more than 1,000 charac"):
        read(path)


def test_rows_are_read_one_by_one(path: Path) -> None:
    path.write_text("name,key\na,b\nc,d,e\n")

    with open_table(path) as table:
        rows = table.by_column(table.header())
        assert next(rows) == ("line 2", {"name": "a", "key": "b"})


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with suppress(ImportRefusedError):
        read(path)
