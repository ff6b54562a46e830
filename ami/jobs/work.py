"""What a Job type gives the engine: work that is one call, or that is planned in batches."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from django.db.models import QuerySet

from ami.main.models import Detection

SAMPLES = 20


class Planned(NamedTuple):
    """A batch as a part stores it: its rows when it was planned, and what names it, as JSON."""

    rows: int
    key: Any


class Skipped(NamedTuple):
    """How many rows could not be worked on for one reason, and the ids of the first of them."""

    rows: int
    ids: list[int]


class Work(ABC):
    """One worker's run of a Job: planned, or whole. `key` and `name` are those of its stage.

    `counters` lists the figures that are shown even while they are 0, and `warnings` has, for
    some, the sentence that warns of them when they are not.
    """

    key: str
    name: str
    counters: tuple[str, ...] = ()
    warnings: Mapping[str, str] = MappingProxyType({})

    def __init__(self) -> None:
        self.count_anew()

    def touched(self) -> QuerySet[Detection]:
        """The detections whose occurrences the work may write: no other Job may at the time."""
        return Detection.objects.none()

    def nothing_to_do(self) -> str | None:
        """Why no row of the scope is one to work on, a sentence; None where one may be.

        Asked before the first row is worked on. Rows that are looked at and stay as they are, or
        are skipped, have been worked on.
        """
        return None

    def count_anew(self) -> None:
        """Set all counters to 0."""
        self.counts: Counter[str] = Counter(dict.fromkeys(self.counters, 0))
        self.skipped: dict[str, Skipped] = {}

    def count(self, **figures: int) -> None:
        """Add to the run's counters."""
        self.counts.update(figures)

    def skip(self, reason: str, *, rows: int, ids: Iterable[int]) -> None:
        """Count rows that cannot be worked on, by reason; the log names the first 20 `ids`."""
        former = self.skipped.get(reason, Skipped(0, []))
        samples = [*former.ids, *list(ids)[: SAMPLES - len(former.ids)]]
        self.skipped[reason] = Skipped(former.rows + rows, samples)


class WholeWork(Work):
    """Work that is one call, with transactions of its own: no parts, no pause, no dry run."""

    @abstractmethod
    def run(self) -> None:
        """Do everything. It may be begun anew where a worker was lost."""


class PlannedWork(Work):
    """Work that the engine calls batch by batch, each in a transaction, in parts side by side.

    `part_batches` is how many batches make a part, None for one part that walks them all in
    order; a unit that fails on data is skipped if `skips_faults`, else it ends the Job. Once 50
    rows have failed, more than `fault_share` of those done end it, too.
    """

    part_batches: ClassVar[int | None] = 5
    skips_faults: ClassVar[bool] = True
    fault_share: ClassVar[float] = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.prepares_anew = False

    def consult(self) -> dict[str, Any]:
        """What decides the run besides its options and the rows of its scope, as JSON.

        By the names that a page tells it by, read afresh at each call; it writes nothing. The
        engine calls it when it plans, and stores it: see `basis`. Nothing by default.
        """
        return {}

    @cached_property
    def basis(self) -> dict[str, Any]:
        """What `consult` said when the run was planned: the same for each part and each resume."""
        return self.consult()

    @abstractmethod
    def plan(self) -> Sequence[Planned]:
        """Cut the scope into batches of whole units. Raises JobFailedError where it is gone.

        What is counted here is counted once a run; in `prepare`, it would be once a part.
        """

    def prepare(self) -> None:
        """What a worker's run of a part needs, before its first batch."""

    @abstractmethod
    def work_on(self, batch: Planned) -> None:
        """Do one batch, inside the transaction that the engine has opened."""

    def rolled_back(self) -> None:
        """A batch was rolled back: forget the rows that it made."""

    def split(self, batch: Planned) -> Sequence[Planned]:
        """Cut a batch that failed into smaller ones; one or none where it is a single unit."""
        return []

    def fault_ids(self, batch: Planned) -> Sequence[int]:
        """The ids of the rows of a unit that failed, for the first examples."""
        return []
