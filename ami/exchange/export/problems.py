"""What a format cannot carry: rows that are left out, or lose something, by reason."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple

from ami.base.words import counted

SAMPLES = 20
COLUMNS = ("problem", "model", "id")


class Problem(NamedTuple):
    """How many rows of a model have a problem, and the first ids."""

    model: str
    rows: int
    ids: list[int]


class Problems(dict[str, Problem]):
    """The problems of an export by their sentence. Every row also goes to a CSV file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._file: IO[str] | None = None

    def add(self, reason: str, model: str, ids: Iterable[int]) -> None:
        """List rows of a model, such as "capture", under a sentence without a full stop."""
        listed = list(ids)
        if not listed:
            return
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(COLUMNS)
        csv.writer(self._file).writerows((reason, model, pk) for pk in listed)
        former = self.get(reason, Problem(model, 0, []))
        samples = [*former.ids, *listed[: SAMPLES - len(former.ids)]]
        self[reason] = Problem(model, former.rows + len(listed), samples)

    def close(self) -> None:
        """Complete the file; if there are no problems, delete that of a former export."""
        if self._file:
            self._file.close()
        else:
            self.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the file of an export that failed."""
        if self._file:
            self._file.close()
            self.path.unlink(missing_ok=True)

    @property
    def sentences(self) -> list[str]:
        """One sentence for each problem, with the first ids."""
        return [
            f"{reason}: {counted(rows, model)} "
            f"({', '.join(map(str, ids))}{', …' if rows > len(ids) else ''})."
            for reason, (model, rows, ids) in self.items()
        ]
