"""Zip archives of tables that are written row by row."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

# Tabs, line breaks, and the other characters at which a reader may split lines.
BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")

Row = Callable[[Iterable[Any]], Any]


class Archive:
    """A zip file that is open for writing. One member is written at a time."""

    def __init__(self, target: IO[bytes]) -> None:
        self._zip = ZipFile(target, "w", ZIP_DEFLATED, compresslevel=3)

    @classmethod
    @contextmanager
    def opened(cls, target: IO[bytes]) -> Iterator["Archive"]:
        archive = cls(target)
        with archive._zip:
            yield archive

    @contextmanager
    def table(self, name: str, columns: Iterable[str]) -> Iterator[Row]:
        """Write a table; yields the function that writes a row."""
        with self._member(name) as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(columns)
            yield writer.writerow

    @contextmanager
    def lines(self, name: str, columns: Iterable[str]) -> Iterator[Row]:
        """Write a table of one line per row, without quotes: tabs and line breaks become blanks."""
        with self._member(name) as text:

            def write(values: Iterable[Any]) -> None:
                text.write("\t".join(map(_on_one_line, values)) + "\n")

            write(columns)
            yield write

    @contextmanager
    def _member(self, name: str) -> Iterator[TextIOWrapper]:
        with (
            self._zip.open(name, "w", force_zip64=True) as member,
            TextIOWrapper(member, encoding="utf-8", errors="replace", newline="") as text,
        ):
            yield text

    def text(self, name: str, text: str) -> None:
        self._zip.writestr(name, text.encode(errors="replace"))

    def json(self, name: str, value: Any) -> None:
        self.text(name, json.dumps(value, indent=2, ensure_ascii=False))


def _on_one_line(value: Any) -> str:
    return "" if value is None else BREAKS.sub(" ", str(value))
