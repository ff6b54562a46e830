"""What a copy of an Antenna database does, or would do."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ami.base.words import counted
from ami.exchange.plan import MOST_LINES

FIRST_IDS = 5


class Effect(StrEnum):
    """What becomes of rows that cannot be copied as they are."""

    REFUSED = "refused"
    SKIPPED = "skipped"
    CLEARED = "cleared"
    KEPT = "kept"


EFFECTS = {
    Effect.REFUSED: "",
    Effect.SKIPPED: " Not copied.",
    Effect.CLEARED: " The reference is left out.",
    Effect.KEPT: " Copied as it is.",
}


@dataclass(frozen=True)
class Finding:
    """Rows of one table with the same fault; `fault` is a clause about one of them."""

    kind: str
    effect: Effect
    table: str
    count: int
    ids: list[int]
    fault: str
    remedy: str = ""

    def __str__(self) -> str:
        ids = ", ".join(map(str, self.ids)) + (", …" if self.count > len(self.ids) else "")
        noun = "id" if self.count == 1 else "ids"
        told = f"{self.fault}, in {counted(self.count, 'row')} ({noun} {ids})."
        return f"{self.table}: {told}{EFFECTS[self.effect]} {self.remedy}".strip()


@dataclass
class TableCount:
    """What becomes of the rows of one table.

    `shift` is what is added to the ids of new rows. `refused` is the number of faults because of
    which nothing is written.
    """

    table: str
    source: int
    copied: int
    reused: int = 0
    skipped: int = 0
    refused: int = 0
    shift: int = 0


@dataclass
class Report:
    """The plan of a copy, and what it has done."""

    projects: list[str] = field(default_factory=list)
    tables: list[TableCount] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    time_zones: list[str] = field(default_factory=list)
    determinations_changed: int | None = None
    written: bool = False

    @property
    def refused(self) -> list[Finding]:
        return [one for one in self.findings if one.effect == Effect.REFUSED]

    @property
    def rows(self) -> int:
        """How many rows are copied."""
        return sum(table.copied for table in self.tables)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield the plan as text: the tables, the ids, the clocks, and what was found."""
        width = max((len(one.table) for one in self.tables), default=0)
        yield (
            f"{'table':{width}} {'source':>11} {'copied':>11} {'reused':>9} {'skipped':>9} "
            f"{'refused':>9}"
        )
        for one in self.tables:
            yield (
                f"{one.table:{width}} {one.source:>11,} {one.copied:>11,} {one.reused:>9,} "
                f"{one.skipped:>9,} {one.refused:>9,}"
            )
        yield self._ids()
        yield from self.time_zones[:MOST_LINES]
        if (more := len(self.time_zones) - MOST_LINES) > 0:
            yield f"… and {counted(more, 'more deployment')}."
        yield from map(str, self.findings)

    def _ids(self) -> str:
        shifted = [f"{one.table} (+{one.shift:,})" for one in self.tables if one.shift]
        if not shifted:
            return "All rows keep their ids."
        return f"Rows get larger ids in {', '.join(shifted)}, because their own are in use."
