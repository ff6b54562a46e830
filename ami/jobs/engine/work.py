"""The work that a Job type gives to the engine: one call, or batches that it plans."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from django.db.models import QuerySet

from ami.base.registry import UnknownKeyError
from ami.jobs.states import JobFailedError
from ami.main.models import Detection

SAMPLES = 20


@contextmanager
def reading(params: Any, *others: type[Exception], of: str) -> Iterator[None]:
    """Raise JobFailedError if the parameters `of` a Job's work do not fit, or for `others`.

    The key of a registry that is unknown keeps its error, which lists the known ones.
    """
    unfit: tuple[type[Exception], ...] = (KeyError, TypeError, ValueError, *others)
    try:
        yield
    except UnknownKeyError:
        raise
    except unfit:
        raise JobFailedError(f"The parameters of the {of} are invalid: {params!r}.") from None


class Planned(NamedTuple):
    """A batch as a part stores it: its number of rows when planned, and its key as JSON."""

    rows: int
    key: Any


class Skipped(NamedTuple):
    """How many rows were skipped for one reason, and the first ids."""

    rows: int
    ids: list[int]


class Work(ABC):
    """The work of a Job, planned or whole. `key` and `name` are those of its stage.

    `counters` lists the figures that are shown even if they are 0. `warnings` maps some of them to
    the sentence that is shown if they are not 0. Work that `takes_long` runs in a task with limits
    of its own, because its plan or a batch may take longer than the soft time limit of Celery.
    """

    key: str
    name: str
    counters: tuple[str, ...] = ()
    warnings: Mapping[str, str] = MappingProxyType({})
    takes_long: ClassVar[bool] = False

    def __init__(self) -> None:
        self.count_anew()

    def touched(self) -> QuerySet[Detection]:
        """The detections whose occurrences the work may write; other Jobs then may not."""
        return Detection.objects.none()

    def nothing_to_do(self) -> str | None:
        """A sentence that says why there is nothing to do in the scope; None if there may be.

        Called before the first row is processed. Rows that are examined and stay unchanged, or are
        skipped, count as something to do.
        """
        return None

    def decisions(self) -> list[str]:
        """What decides the run, as sentences for its log: options, and what it consults."""
        return []

    def count_anew(self) -> None:
        """Set all counters to 0."""
        self.counts: Counter[str] = Counter(dict.fromkeys(self.counters, 0))
        self.skipped: dict[str, Skipped] = {}

    def count(self, **figures: int) -> None:
        """Add to the counters of the run."""
        self.counts.update(figures)

    def skip(self, reason: str, *, rows: int, ids: Iterable[int]) -> None:
        """Count rows that cannot be processed, by reason; the log lists the first 20 `ids`."""
        former = self.skipped.get(reason, Skipped(0, []))
        samples = [*former.ids, *list(ids)[: SAMPLES - len(former.ids)]]
        self.skipped[reason] = Skipped(former.rows + rows, samples)


class WholeWork(Work):
    """Work that is one call with its own transactions: no parts, no pause, no dry run."""

    takes_long = True

    @abstractmethod
    def run(self) -> None:
        """Do all the work. It is called again if a worker was lost."""


class PlannedWork(Work):
    """Work that the engine calls batch by batch, one transaction each, in parallel parts.

    `part_batches` is the number of batches per part, None for a single part that processes all
    batches in order. If `skips_faults`, a unit that fails because of its data is skipped, else it
    ends the Job. From 50 failed rows on, the Job also ends if their share of the rows done exceeds
    `fault_share`; None for work that is successful even if no row can be processed.
    """

    part_batches: ClassVar[int | None] = 5
    skips_faults: ClassVar[bool] = True
    fault_share: ClassVar[float | None] = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.prepares_anew = False

    def consult(self) -> dict[str, Any]:
        """Everything that decides the run besides its options and the rows of its scope, as JSON.

        The keys are the names that a page shows. Each call reads the current values and must write
        nothing. The engine calls this when it plans the run and stores the result; see `basis`.
        Empty by default.
        """
        return {}

    @cached_property
    def basis(self) -> dict[str, Any]:
        """The result of `consult` when the run was planned, the same for all parts."""
        return self.consult()

    @abstractmethod
    def plan(self) -> Sequence[Planned]:
        """Split the scope into batches of whole units. Raises JobFailedError if it was deleted.

        Rows that are counted here are counted once per run; in `prepare`, once per part.
        """

    def prepare(self) -> None:
        """Prepare a worker for a part, before its first batch."""

    @abstractmethod
    def work_on(self, batch: Planned) -> None:
        """Process one batch, in the transaction that the engine has opened."""

    def keep(self) -> None:
        """Store what the batch found, in the transaction that commits it.

        That of a dry run is a later one than the batch's own, which is rolled back.
        """

    def rolled_back(self) -> None:
        """Forget objects in memory that were created in a batch that was rolled back."""

    def split(self, batch: Planned) -> Sequence[Planned]:
        """Split a failed batch into smaller ones; return at most one if it is a single unit."""
        return []

    def skip_fault(self, batch: Planned, fault: Exception) -> None:
        """Count a unit that failed and is skipped, in the transaction that commits this."""
        reason = f"failed with {type(fault).__name__}"
        self.skip(reason, rows=batch.rows, ids=self.fault_ids(batch))

    def fault_ids(self, batch: Planned) -> Sequence[int]:
        """The ids of the first rows of a unit that failed, for the log."""
        return []
