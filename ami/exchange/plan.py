"""What an import does, or would do: one entry per row, with its place in the file.

An importer compares the file with the database and tells an :class:`ImportPlan` what it finds. A
dry run makes the same plan as the import, and is rolled back.
"""

from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from django.apps import apps
from django.db import models

from ami.base.words import counted

MOST_LINES = 100
WHOLE_HELPS = (
    "With the option “Boxes” set to whole (--boxes whole), one that is alone on its picture gets a "
    "box of the whole picture."
)


class Outcome(StrEnum):
    """What becomes of a row."""

    CREATED = "created"
    CHANGED = "changed"
    DIFFERS = "differs"
    UNCHANGED = "unchanged"
    CONTRADICTION = "contradiction"
    SKIPPED = "skipped"


TITLES = {
    Outcome.CREATED: "Created",
    Outcome.CHANGED: "Changed",
    Outcome.DIFFERS: "Different in the file, and left as it is (--update changes it)",
    Outcome.UNCHANGED: "Unchanged",
    Outcome.CONTRADICTION: "Contradictions",
    Outcome.SKIPPED: "Skipped",
}
# Rows are told after those that they refer to.
ORDER = (
    *("project", "deployment", "taxon", "taxalist", "algorithm", "event", "sourceimage"),
    *("occurrence", "detection", "classification", "identification"),
)
LISTED = (Outcome.CHANGED, Outcome.DIFFERS, Outcome.CONTRADICTION, Outcome.SKIPPED)


class Change(NamedTuple):
    """One field of a row; the values are texts, numbers, lists of them, or None."""

    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.field}: {_in_words(self.old)} → {_in_words(self.new)}"


class Entry(NamedTuple):
    """What becomes of one row. `place` is its place in the file, such as "line 7".

    `reason` is a sentence for a contradiction, and otherwise a predicate of the name.
    """

    outcome: Outcome
    model: type[models.Model]
    name: str
    place: str
    changes: Sequence[Change] = ()
    reason: str = ""

    def __str__(self) -> str:
        if self.outcome == Outcome.CONTRADICTION:
            return f"{self.place}: {self.reason}"
        what = f" {self.reason}" if self.reason else f": {'; '.join(map(str, self.changes))}"
        return f"{self.place}: {self.name!r}{what}"

    @property
    def noun(self) -> str:
        """What the row is, such as "capture"."""
        return str(self.model._meta.verbose_name)

    def as_json(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "outcome": self.outcome.value,
            "model": self.model._meta.model_name,
            "name": self.name,
            "place": self.place,
        }
        if self.changes:
            entry["changes"] = [change._asdict() for change in self.changes]
        if self.reason:
            entry["reason"] = self.reason
        return entry

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Entry":
        """Return the entry that :meth:`as_json` wrote."""
        return cls(
            Outcome(data["outcome"]),
            _model(data["model"]),
            data["name"],
            data["place"],
            tuple(Change(**change) for change in data.get("changes", ())),
            data.get("reason", ""),
        )


@dataclass
class ImportPlan:
    """What becomes of all rows.

    Every row is counted. Only the first `kept` entries per outcome are kept, so that the plan of a
    large file stays small; None keeps all of them. `without_box` is the number of observations that
    are skipped because they have no box; of those some `could_be_whole`, with another option.
    """

    kept: int | None = 1000
    entries: dict[Outcome, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    counts: dict[Outcome, Counter[type[models.Model]]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    without_box: int = 0
    could_be_whole: bool = False

    def add(
        self,
        outcome: Outcome,
        model: type[models.Model],
        name: str,
        place: str,
        *,
        changes: Sequence[Change] = (),
        reason: str = "",
    ) -> None:
        """Count a row and keep its entry."""
        self.count(outcome, model)
        entries = self.entries[outcome]
        if self.kept is None or len(entries) < self.kept:
            entries.append(Entry(outcome, model, name, place, tuple(changes), reason))

    def count(self, outcome: Outcome, model: type[models.Model], number: int = 1) -> None:
        """Count rows without entries of their own, such as thousands of detections."""
        self.counts[outcome][model] += number

    def total(self, *outcomes: Outcome) -> int:
        return sum(self.counts[outcome].total() for outcome in outcomes if outcome in self.counts)

    @property
    def writes(self) -> bool:
        """Whether the import creates or changes rows."""
        return self.total(Outcome.CREATED, Outcome.CHANGED) > 0

    @property
    def agrees(self) -> bool:
        """Whether the database already contains all that the file says."""
        return self.total(*(one for one in Outcome if one != Outcome.UNCHANGED)) == 0

    def _counted(self, outcome: Outcome) -> list[tuple[type[models.Model], int]]:
        rows = [(model, number) for model, number in self.counts[outcome].items() if number]
        return sorted(rows, key=lambda row: _place(row[0]))

    def table(self) -> list[tuple[type[models.Model], list[int]]]:
        """Return, for each model with rows, their number for each outcome."""
        found = {model for rows in self.counts.values() for model, number in rows.items() if number}
        return [
            (model, [self.counts[outcome][model] for outcome in Outcome])
            for model in sorted(found, key=_place)
        ]

    def listed(self, outcome: Outcome) -> list[Entry]:
        """Return the kept entries that tell more than that a row was created or is unchanged."""
        entries = self.entries.get(outcome, [])
        return [one for one in entries if outcome in LISTED or one.reason]

    def told(self) -> Iterator[Entry]:
        """Yield the kept entries that have a reason."""
        yield from (one for entries in self.entries.values() for one in entries if one.reason)

    def merge(self, later: "ImportPlan") -> None:
        """Add what a later batch found."""
        self.without_box += later.without_box
        self.could_be_whole |= later.could_be_whole
        for outcome, counted_rows in later.counts.items():
            self.counts[outcome].update(counted_rows)
        for outcome, entries in later.entries.items():
            own = self.entries[outcome]
            own += entries if self.kept is None else entries[: self.kept - len(own)]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ImportPlan":
        """Return the plan that :meth:`as_json` wrote."""
        plan = cls(
            without_box=data.get("without_box", 0), could_be_whole=data.get("could_be_whole", False)
        )
        for outcome, rows in data.get("counts", {}).items():
            found = {_model(name): number for name, number in rows.items()}
            plan.counts[Outcome(outcome)].update(found)
        for one in data.get("entries", ()):
            entry = Entry.from_json(one)
            plan.entries[entry.outcome].append(entry)
        return plan

    def as_json(self) -> dict[str, Any]:
        """Return counts and entries. `left_out` is the number of rows without an entry."""
        kept = [entry.as_json() for outcome in Outcome for entry in self.entries.get(outcome, ())]
        return {
            "counts": {
                outcome.value: {
                    str(model._meta.model_name): number for model, number in self._counted(outcome)
                }
                for outcome in Outcome
            },
            "entries": kept,
            "left_out": self.total(*Outcome) - len(kept),
            **({"without_box": self.without_box} if self.without_box else {}),
            **({"could_be_whole": True} if self.could_be_whole else {}),
        }

    @property
    def lacks_boxes(self) -> str:
        """A sentence about the observations without boxes; empty if there are none."""
        if not self.without_box:
            return ""
        what = counted(
            self.without_box, "observation has no box and is", "observations have no box and are"
        )
        told = f"{what} left out: an individual is known here by its boxes on pictures."
        return f"{told} {WHOLE_HELPS}" if self.could_be_whole else told

    def lines(self, *, most: int = MOST_LINES) -> Iterator[str]:
        """Yield one line per outcome, followed by up to `most` of its entries.

        Rows that are created or unchanged are only counted, unless there is a reason to tell.
        """
        for outcome in Outcome:
            if not self.total(outcome):
                continue
            rows = ", ".join(
                counted(number, str(model._meta.verbose_name), str(model._meta.verbose_name_plural))
                for model, number in self._counted(outcome)
            )
            yield f"{TITLES[outcome]}: {rows}."
            shown = self.listed(outcome)[:most]
            yield from (f"  {entry}" for entry in shown)
            if outcome in LISTED and shown and (more := self.total(outcome) - len(shown)):
                yield f"  … and {more:,} more."
        if self.lacks_boxes:
            yield self.lacks_boxes


def add_plan_options(parser: ArgumentParser) -> None:
    """Add the options that all imports have."""
    parser.add_argument(
        "--dry-run", action="store_true", help="only print the plan, and write nothing"
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="also change the values that differ in the file; without it, they are only listed",
    )


def _place(model: type[models.Model]) -> int:
    name = str(model._meta.model_name)
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _model(name: str) -> type[models.Model]:
    label = next(one for one in ("main", "ml", "exchange") if name in apps.all_models[one])
    return apps.get_model(label, name)


def _in_words(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value)) or "none"
    return repr(value) if isinstance(value, str) else str(value)
