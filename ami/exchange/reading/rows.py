"""Rows of tables, whose cells are checked one by one."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

from ami.exchange.base import ImportRefusedError, shown
from ami.exchange.reading.records import Fault
from ami.exchange.reading.validation import check_score
from ami.exchange.tables import open_member

T = TypeVar("T")


@dataclass(slots=True)
class Row:
    """A row with its place, such as "media.csv, line 7"; checks add to its `faults`."""

    place: str
    cells: Mapping[str, str]
    faults: list[Fault] = field(default_factory=list)

    def text(self, column: str) -> str:
        """Return the cell, which is empty if there is no such column."""
        return self.cells.get(column.lower(), "")

    def value(self, column: str, check: Callable[[Any], T]) -> T | None:
        """Return the cell as `check` reads it, or None if it is empty or at fault."""
        text = self.text(column)
        return self._checked(column, check, text) if text else None

    def required(self, column: str, check: Callable[[Any], T]) -> T | None:
        """Return what `value` does; an empty cell is a fault."""
        text = self.text(column)
        if text:
            return self._checked(column, check, text)
        self.faults.append(Fault(self.place, f"{column} is empty."))
        return None

    def part(self, name: str, check: Callable[[Any], T], text: str) -> T | None:
        """Return what `value` does of a part of a cell, which faults call `name`."""
        return self._checked(name, check, text) if text else None

    def _checked(self, column: str, check: Callable[[Any], T], text: str) -> T | None:
        try:
            return check(text)
        except ValueError as error:
            self.fault(column, str(error), text)
            return None

    def fault(self, column: str, sentence: str, value: Any) -> None:
        self.faults.append(Fault(self.place, f"{column} {sentence}, got {shown(value)}."))


def rows_of(
    name: str, file: IO[bytes], columns: Collection[str], *, encoding: str | None = None
) -> Iterator[Row]:
    """Yield the rows of a table, which must have the columns. Raises ImportRefusedError."""
    try:
        with open_member(name, file, encoding=encoding) as table:
            header = table.header()
            there = {one.lower() for one in header.values}
            if missing := [one for one in columns if one.lower() not in there]:
                raise ImportRefusedError(f"{header.place}: has no column {missing[0]}.")
            for place, cells in table.by_column(header):
                yield Row(f"{name}, {place}", cells)
    except ImportRefusedError as error:
        told = str(error)
        raise ImportRefusedError(told if name in told else f"{name}, {told}") from None


def number(value: str) -> float:
    """Return a text as a number, for checks that take one."""
    try:
        return float(value)
    except ValueError:
        raise ValueError("must be a number") from None


def score(value: str) -> float:
    return check_score(number(value))


def whole(value: str) -> int:
    """Return a text as a whole number above 0, such as a version."""
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 2**31):
        raise ValueError("must be a whole number above 0")
    return int(value)
