"""Repairs of integrity faults: planned work, which is journaled, paused and reverted like any."""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import NamedTuple

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.db.models import QuerySet

from ami.base.ids import MAX_ID
from ami.integrity import finding
from ami.integrity.finding import Found, Scope, Survey
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.integrity.runner import end, examine, first_line, new_result
from ami.jobs.engine.faults import is_programming_error, sqlstate
from ami.jobs.engine.work import SAMPLES, Planned, PlannedWork, reading
from ami.jobs.models import Job
from ami.jobs.states import JobFailedError
from ami.main.checks.declarations import CHECKS, Check, Pair, chosen_checks
from ami.main.checks.schemas import SAMPLES as REASONS
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection

NOT_REPAIRED = "could not be repaired"
OUT_OF_TIME = (
    "The checks reached the time limit of a worker, and nothing was repaired. Choose fewer checks, "
    "or one project."
)
FOR_A_PERSON = "Only a person can decide what is correct."
# Two repairs of one check take turns. A row that another session keeps locked blocks neither.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
LOCK_PATIENCE = "SET LOCAL lock_timeout = '10s'"
LOCK_NOT_AVAILABLE = "55P03"
# What follows the last batch: examine the checks again, and fail if one could not be completed.
CLOSE, JUDGE = Planned(0, "close"), Planned(0, "judge")


class CheckCrashedError(Exception):
    """A check or its repair has a programming error."""


class RowLockedError(Exception):
    """Another session keeps a row locked, which is split off like a row that fails."""


class Rows(NamedTuple):
    """The faulty rows of a pair of a check with ids from `first` to `last`: one batch."""

    check: str
    place: int
    first: int
    last: int

    @property
    def pair(self) -> Pair:
        return CHECKS[self.check].pairs[self.place]


def nothing(_: object) -> None:
    pass


class Repair(PlannedWork):
    """Repairs what the checks that `job` names find when it is planned.

    The batches run in order, because a repair may help the checks after it. While they run, no
    other Job may write an occurrence of the scope, so that the findings are still valid. `on_batch`
    is called with the number of rows of each batch, `on_check` with what each check has found.
    """

    key = "repair"
    name = "Repair"
    counters = ("rows_found", "rows_repaired", "rows_remaining")
    part_batches = None
    fault_share = None

    def __init__(
        self,
        job: Job,
        *,
        on_batch: Callable[[int], object] = nothing,
        on_check: Callable[[IntegrityResult], object] = nothing,
    ) -> None:
        super().__init__()
        with reading(job.params, of="repair"):
            self.checks = chosen_checks(keys=job.params["checks"])
            tables = {**job.params["tables"]} if "tables" in job.params else None
            self.scope = Scope(job.project_id, job.params["job"], tables)
        self.job = job
        self.on_batch = on_batch
        self.on_check = on_check
        self._results: dict[str, IntegrityResult] = {}

    def touched(self) -> QuerySet[Detection]:
        return in_scope(Detection.objects.all(), self.scope.project_id, self.scope.job_id)

    def plan(self) -> list[Planned]:
        """Examine the checks, and split what they find. A dry run ends with that report."""
        if self.scope.job_id and not Job.objects.filter(pk=self.scope.job_id).exists():
            raise JobFailedError(
                f"Job {self.scope.job_id}, whose rows to repair, no longer exists."
            )
        IntegrityRun.objects.filter(repair_job=self.job).delete()  # of a worker that was lost
        kept = IntegrityRun.objects.create(
            user=self.job.user,
            project_id=self.scope.project_id,
            job_id=self.scope.job_id,
            dry_run=self.job.dry_run,
            repair_job=self.job,
            schedule=self.job.params.get("schedule", ""),
        )
        survey = Survey(self.scope)
        batches = list[Planned]()
        try:
            for check in self.checks:
                self.job.raise_if_canceled()
                batches += self._examine(kept, check, survey)
        except SoftTimeLimitExceeded:
            raise JobFailedError(OUT_OF_TIME) from None
        if self.job.dry_run:
            end(kept)
        return [*batches, *([] if self.job.dry_run else [CLOSE]), JUDGE]

    def work_on(self, batch: Planned) -> None:
        if batch.key == CLOSE.key:
            self._close()
        elif batch.key == JUDGE.key:
            self._judge()
        else:
            self._repair(Rows(*batch.key))

    def rolled_back(self) -> None:
        self._results.clear()

    def split(self, batch: Planned) -> list[Planned]:
        if isinstance(batch.key, str):
            return []
        rows = Rows(*batch.key)
        ids = self._ids(rows)
        middle = len(ids) // 2
        if not middle:
            return []
        return [
            Planned(middle, rows._replace(last=ids[middle] - 1)),
            Planned(len(ids) - middle, rows._replace(first=ids[middle])),
        ]

    def fault_ids(self, batch: Planned) -> list[int]:
        return [] if isinstance(batch.key, str) else self._ids(Rows(*batch.key))[:SAMPLES]

    def skip_fault(self, batch: Planned, fault: Exception) -> None:
        if isinstance(batch.key, str):
            raise fault
        rows = Rows(*batch.key)
        result = self._result(rows.check)
        self._leave(result, rows.pair, 1, self._ids(rows), first_line(fault))
        if not self.job.dry_run:
            result.save()

    def _examine(self, kept: IntegrityRun, check: Check, survey: Survey) -> list[Planned]:
        result, batches = new_result(kept, check), list[Planned]()
        if fault := examine(check, result, survey):
            self._note(check, fault)
        else:
            result.found = result.remaining
            for place, pair in enumerate(check.pairs):
                found = survey.found(pair)
                if pair.fix:
                    batches += _batches(check, place, found)
                else:
                    self._leave(result, pair, found.rows, found.first, FOR_A_PERSON)
        result.save()
        self.count(rows_found=result.found, rows_remaining=result.found)
        self.on_check(result)
        return batches

    def _repair(self, rows: Rows) -> None:
        check, result, start = CHECKS[rows.check], self._result(rows.check), monotonic()
        if result.error:  # an error of the program, which does not depend on the rows
            return
        with connection.cursor() as cursor:
            cursor.execute(LOCK, [f"ami.main.checks.{check.key}"])
            cursor.execute(LOCK_PATIENCE)
        try:
            with transaction.atomic():
                ids, left = self._fix(rows)
        except Exception as fault:
            if sqlstate(fault) == LOCK_NOT_AVAILABLE:
                raise RowLockedError(first_line(fault)) from fault
            if self.job.dry_run or not is_programming_error(fault):
                raise
            result.error = f"{type(fault).__name__}: {first_line(fault)}"
            result.save()
            self._note(check, fault)
            return
        fixed = len(ids) - len(left)
        result.fixed += fixed
        result.remaining = max(0, result.remaining - fixed)
        self._leave(result, rows.pair, len(left), left, rows.pair.otherwise)
        self.count(rows_repaired=fixed, rows_remaining=-fixed)
        result.seconds += monotonic() - start
        result.save()
        self.on_batch(len(ids))

    def _fix(self, rows: Rows) -> tuple[list[int], list[int]]:
        """Repair the rows; returns their ids, and those of the rows that are still faulty."""
        ids, fix = self._ids(rows), rows.pair.fix
        if not ids or fix is None:
            return [], []
        fix(ids)
        left = self.scope.rows(rows.pair).filter(pk__any_of=set(ids))
        return ids, list(left.order_by("pk").values_list("pk", flat=True))

    def _ids(self, rows: Rows) -> list[int]:
        faulty = self.scope.rows(rows.pair).filter(pk__gte=rows.first, pk__lte=rows.last)
        return list(faulty.order_by("pk").values_list("pk", flat=True))

    def _leave(
        self, result: IntegrityResult, pair: Pair, rows: int, ids: list[int], reason: str
    ) -> None:
        """Count rows that cannot be repaired; `ids` are the first ones."""
        if not rows:
            return
        self.skip(NOT_REPAIRED, rows=rows, ids=ids)
        result.unfixable += rows
        room = REASONS - len(result.reasons)
        told = [{"model": pair.label, "id": pk, "reason": reason} for pk in ids[:room]]
        result.reasons = [*result.reasons, *told]

    def _note(self, check: Check, fault: Exception) -> None:
        """Log an error of a check, and remember it until the other checks are done."""
        self.job.logger.error("%s could not be completed.", check.title, exc_info=fault)
        if is_programming_error(fault):
            self.count(checks_crashed=1)

    def _close(self) -> None:
        """Examine the checks with findings again, and complete the run."""
        survey = Survey(self.scope)
        for check in self.checks:
            result = self._result(check.key)
            if result.found:
                if fault := examine(check, result, survey):
                    self._note(check, fault)
                result.save()
            is_well = not (result.remaining or result.error)
            log = self.job.logger.info if is_well else self.job.logger.warning
            log("%s", _sentence(result))
        end(self._kept)
        remaining = sum(self._kept.results.values_list("remaining", flat=True))
        self.count(rows_remaining=remaining - self.counts["rows_remaining"])
        if self.scope.tables is None:
            repaired = self.counts["rows_repaired"]
            self.job.logger.info("Repair of %s: %d repaired.", self._kept.scope, repaired)
            self.job.logger.info("Integrity run %d lists the rows.", self._kept.pk)

    def _judge(self) -> None:
        broken = list(self._kept.results.exclude(error="").order_by("pk"))
        if not broken:
            return
        why = f"{CHECKS[broken[0].key].title}: {broken[0].error}"
        if self.counts["checks_crashed"]:
            raise CheckCrashedError(why)
        raise JobFailedError(f"{len(broken)} of {len(self.checks)} checks could not finish. {why}")

    @property
    def _kept(self) -> IntegrityRun:
        kept = IntegrityRun.objects.filter(repair_job=self.job).first()
        if kept is None:
            raise JobFailedError("The integrity run of the repair was deleted.")
        return kept

    def _result(self, key: str) -> IntegrityResult:
        """The result of a check, read once until a batch is rolled back."""
        if key not in self._results:
            self._results[key] = self._kept.results.get(key=key)
        return self._results[key]


def _batches(check: Check, place: int, found: Found) -> Iterator[Planned]:
    ends = [*(start - 1 for start in found.starts[1:]), MAX_ID]
    left = found.rows
    for first, last in zip(found.starts, ends, strict=False):
        size = min(left, finding.BATCH_SIZE)
        yield Planned(size, Rows(check.key, place, first, last))
        left -= size


def _sentence(result: IntegrityResult) -> str:
    told = (
        f"{CHECKS[result.key].title}: {result.found:,} found, {result.fixed:,} repaired, "
        f"{result.remaining:,} remain."
    )
    return f"{told} {result.error}" if result.error else told
