"""How rows at fault are repaired: in batches, each its own transaction, around the bad ones."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from django.db import Error, connection, transaction
from django.db.models import QuerySet

from ami.base.faults import is_programming_error, sqlstate
from ami.main.checks.schemas import SAMPLES, IntegrityCheckResult

TRIES = 5
# PostgreSQL's class of errors for a deadlock, and for rows that others changed first.
ROLLED_BACK = "40"
STILL_AT_FAULT = "Still at fault after the repair."
FOR_A_PERSON = "Only a person can tell what is right."
INTERRUPTED = "It was told to stop, or reached its time limit"
CONNECTION_LOST = "The connection to the database was lost"

Fix = Callable[[list[int]], object]


@dataclass(frozen=True)
class RepairContext:
    """What a repair runs in.

    `transaction` opens the transaction of a batch: a layer above hands in one that keeps a
    journal. Errors of the types `interrupts` end the whole run, not one check alone. `on_batch`
    is told how many rows at fault a batch has dealt with, `on_crash` of an error of the program.
    """

    transaction: Callable[[], AbstractContextManager[None]] = transaction.atomic
    interrupts: tuple[type[BaseException], ...] = ()
    on_batch: Callable[[int], object] = lambda rows: None
    on_crash: Callable[[Exception], object] = lambda crash: None
    batch_size: int = 5_000


class RepairStoppedError(Exception):
    """What ended a repair in the middle is its cause; `result` is what had been done."""

    def __init__(self, result: IntegrityCheckResult, *, why: str, after: int | None) -> None:
        self.result = result
        where = "before its first batch" if after is None else f"after id {after}"
        super().__init__(
            f"{why}; the repair stopped {where}. "
            f"{result.fixed:,} rows are repaired and stay so; run it again to go on."
        )


def reconcile(
    rows: QuerySet[Any],
    fix: Fix,
    *,
    dry_run: bool = True,
    context: RepairContext | None = None,
    otherwise: str = STILL_AT_FAULT,
) -> IntegrityCheckResult:
    """Repair `rows` by `fix(ids)`, which does a batch in its transaction.

    A batch that fails is split until the bad row is alone; where another transaction was in the
    way, it is first tried again. Rows that `fix` leaves at fault are unfixable, too: `otherwise`
    says why. Raises RepairStoppedError where anything else ends it, such as a lost connection, or
    an error of the program, which every row would meet.
    """
    if dry_run:
        return IntegrityCheckResult(checked=rows.count())
    repair = _Repair(rows, fix, otherwise, context or RepairContext())
    repair.run()
    return repair.result


def leave_to_a_person(rows: QuerySet[Any], *, dry_run: bool = True) -> IntegrityCheckResult:
    """The repair of what no rule can repair: all rows are unfixable."""
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
        """Whether the connection was lost; Django may have made another one by now."""
        return connection.connection is not self.session or not connection.is_usable()

    def _next(self, after: int | None) -> list[int]:
        rows = self.rows if after is None else self.rows.filter(pk__gt=after)
        with transaction.atomic(), connection.cursor() as cursor:
            # Go along the ids until the batch is full: sorting would judge all rows for each batch.
            cursor.execute("SET LOCAL enable_sort = off")
            ids = list(rows[: self.context.batch_size])
            transaction.set_rollback(True)  # or a transaction around this one keeps the setting
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
    """Their ids, ascending. An order that the rows come with is that of an index, and the same."""
    return (rows if rows.ordered else rows.order_by("pk")).values_list("pk", flat=True)


def first_line(error: Exception) -> str:
    """What went wrong, without PostgreSQL's lines on where."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _was_in_the_way(error: Exception) -> bool:
    """Whether another transaction was what failed the batch: nothing is wrong with its rows."""
    return sqlstate(error).startswith(ROLLED_BACK)
