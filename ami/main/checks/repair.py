"""The repair of faulty rows in batches, each in its own transaction, which skips bad rows."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from django.db import Error, connection, transaction
from django.db.models import QuerySet

from ami.base.faults import is_programming_error, sqlstate
from ami.base.words import counted
from ami.main.checks.schemas import SAMPLES, IntegrityCheckResult

TRIES = 5
# PostgreSQL's class of errors for deadlocks and serialization failures.
ROLLED_BACK = "40"
STILL_AT_FAULT = "The row is still faulty after the repair."
FOR_A_PERSON = "Only a person can decide what is correct."
INTERRUPTED = "The run was told to stop, or reached its time limit"
CONNECTION_LOST = "The connection to the database was lost"

Fix = Callable[[list[int]], object]


@dataclass(frozen=True)
class RepairContext:
    """The environment of a repair.

    `transaction` opens the transaction of a batch; a higher layer passes one with a journal.
    Errors of the types `interrupts` end the whole run and not only one check. `on_batch` is called
    with the number of faulty rows of each batch, and `on_crash` with a programming error.
    """

    transaction: Callable[[], AbstractContextManager[None]] = transaction.atomic
    interrupts: tuple[type[BaseException], ...] = ()
    on_batch: Callable[[int], object] = lambda rows: None
    on_crash: Callable[[Exception], object] = lambda crash: None
    batch_size: int = 5_000


class RepairStoppedError(Exception):
    """A repair ended early because of `__cause__`; `result` is what was done until then."""

    def __init__(self, result: IntegrityCheckResult, *, why: str, after: int | None) -> None:
        self.result = result
        where = "before its first batch" if after is None else f"after id {after}"
        super().__init__(
            f"{why}; the repair stopped {where}. "
            f"It has repaired {counted(result.fixed, 'row')}; run it again to continue."
        )


def reconcile(
    rows: QuerySet[Any],
    fix: Fix,
    *,
    dry_run: bool = True,
    context: RepairContext | None = None,
    otherwise: str = STILL_AT_FAULT,
) -> IntegrityCheckResult:
    """Repair `rows` with `fix(ids)`, which is called for each batch in its transaction.

    A batch that fails is split until the bad row is alone. If it conflicted with another
    transaction, it is first tried again. Rows that are still faulty after `fix` are unfixable,
    with the reason `otherwise`. Raises RepairStoppedError for any other error, such as a lost
    connection or a programming error, which does not depend on the rows.
    """
    if dry_run:
        return IntegrityCheckResult(checked=rows.count())
    repair = _Repair(rows, fix, otherwise, context or RepairContext())
    repair.run()
    return repair.result


def leave_to_a_person(rows: QuerySet[Any], *, dry_run: bool = True) -> IntegrityCheckResult:
    """The repair of faults that only a person can correct: all rows are unfixable."""
    result = IntegrityCheckResult(checked=rows.count())
    if not dry_run:
        result.leave(ids_in_order(rows)[:SAMPLES], FOR_A_PERSON)
        result.unfixable = result.checked
    return result


class _Repair:
    def __init__(
        self, rows: QuerySet[Any], fix: Fix, otherwise: str, context: RepairContext
    ) -> None:
        self.rows = ids_in_order(rows)
        self.fix = fix
        self.otherwise = otherwise
        self.context = context
        self.result = IntegrityCheckResult()

    def run(self) -> None:
        connection.ensure_connection()
        self.session = connection.connection
        after = None
        try:
            while batch := self._next(after):
                self._repair(batch)
                after = batch[-1]
                self.context.on_batch(len(batch))
                if len(batch) < self.context.batch_size:
                    return
        except self.context.interrupts as interrupt:
            raise RepairStoppedError(self.result, why=INTERRUPTED, after=after) from interrupt
        except Exception as error:
            is_cut = isinstance(error, Error) and self._is_cut()
            why = CONNECTION_LOST if is_cut else f"{type(error).__name__}: {first_line(error)}"
            raise RepairStoppedError(self.result, why=why, after=after) from error

    def _is_cut(self) -> bool:
        """Whether the connection was lost, even if Django has since opened another one."""
        return connection.connection is not self.session or not connection.is_usable()

    def _next(self, after: int | None) -> list[int]:
        rows = self.rows if after is None else self.rows.filter(pk__gt=after)
        with transaction.atomic(), connection.cursor() as cursor:
            # Read in the order of ids until the batch is full; sorting would evaluate all rows.
            cursor.execute("SET LOCAL enable_sort = off")
            ids = list(rows[: self.context.batch_size])
            transaction.set_rollback(True)  # otherwise an outer transaction keeps the setting
        return ids

    def _repair(self, ids: list[int], *, tries: int = TRIES) -> None:
        try:
            with self.context.transaction():
                self.fix(ids)
                left = list(self.rows.filter(pk__any_of=set(ids)))
        except (Error, ValueError) as error:
            if self._is_cut() or is_programming_error(error):
                raise
            if tries > 1 and _was_in_the_way(error):
                self._repair(ids, tries=tries - 1)
            else:
                self._isolate(ids, error)
            return
        self.result.checked += len(ids)
        self.result.fixed += len(ids) - len(left)
        self.result.leave(left, self.otherwise)

    def _isolate(self, ids: list[int], error: Exception) -> None:
        if len(ids) == 1:
            self.result.checked += 1
            self.result.leave(ids, first_line(error))
            return
        middle = len(ids) // 2
        self._repair(ids[:middle])
        self._repair(ids[middle:])


def ids_in_order(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the ids in ascending order. An existing order must be equivalent to this."""
    return (rows if rows.ordered else rows.order_by("pk")).values_list("pk", flat=True)


def first_line(error: Exception) -> str:
    """Return the first line of the error, without PostgreSQL's context."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _was_in_the_way(error: Exception) -> bool:
    """Whether the batch failed because of another transaction and not because of its rows."""
    return sqlstate(error).startswith(ROLLED_BACK)
