"""Repairs of integrity faults as Jobs, which are journaled, canceled and reverted like any run."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.db.models import QuerySet

from ami.base.registry import UnknownKeyError
from ami.integrity.finding import Scope
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.integrity.runner import run_checks
from ami.jobs.engine.faults import drop_dead_connection
from ami.jobs.engine.registry import JOB_TYPES, RUNS_AGAIN
from ami.jobs.engine.runner import run
from ami.jobs.engine.work import WholeWork
from ami.jobs.journal.triggers import journaled
from ami.jobs.models import Job
from ami.jobs.service import create_jobs
from ami.jobs.states import ClaimLostError, JobCanceledError, JobFailedError, JobState, Outcome
from ami.main.checks.declarations import CHECKS, Check, chosen_checks
from ami.main.checks.repair import RepairContext
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection
from ami.users.models import User

JOB_TYPE = "data_integrity"
NAME = "Repair of integrity faults"
# A session that keeps a row locked must not block the repair.
LOCK_PATIENCE = "SET LOCAL lock_timeout = '10s'"
INTERRUPTS = (JobCanceledError, ClaimLostError, SoftTimeLimitExceeded, KeyboardInterrupt)
OUT_OF_TIME = (
    "The repair reached the time limit of a worker. What it has repaired stays; run it again to "
    "go on with the rest."
)


def nothing(_: object) -> None:
    pass


class Repair(WholeWork):
    """Runs the checks that `job` names and repairs their findings, one transaction per batch.

    While it runs, no other Job may write an occurrence of its scope, so that the findings are still
    valid when they are repaired. It may be restarted at any time, because repaired rows are no
    longer found. `on_batch` is called with the number of rows of each batch, `on_check` with the
    result of each check.
    """

    key = "repair"
    name = "Repair"
    counters = ("rows_found", "rows_repaired", "rows_remaining")

    def __init__(
        self,
        job: Job,
        *,
        on_batch: Callable[[int], object] = nothing,
        on_check: Callable[[IntegrityResult], object] = nothing,
    ) -> None:
        super().__init__()
        try:
            self.checks = chosen_checks(keys=job.params["checks"])
            self.scope = Scope(job.project_id, job.params["job"])
        except (KeyError, TypeError) as odd:
            if isinstance(odd, UnknownKeyError):
                raise
            raise JobFailedError(
                f"The parameters of the repair are invalid: {job.params!r}."
            ) from None
        self.job = job
        self.on_batch = on_batch
        self.on_check = on_check
        self.ended = 0
        self.crashes: list[Exception] = []

    def touched(self) -> QuerySet[Detection]:
        return in_scope(Detection.objects.all(), self.scope.project_id, self.scope.job_id)

    def run(self) -> None:
        """Run all checks. Raises JobCanceledError, and JobFailedError if a check could not finish.

        Programming errors are raised after all checks have run, the first one only.
        """
        if self.scope.job_id and not Job.objects.filter(pk=self.scope.job_id).exists():
            raise JobFailedError(
                f"Job {self.scope.job_id}, whose rows to repair, no longer exists."
            )
        context = RepairContext(
            transaction=partial(_batch, self.job),
            interrupts=INTERRUPTS,
            on_batch=self.on_batch,
            on_crash=self.crashes.append,
        )
        try:
            kept = run_checks(
                self._checks(),
                scope=self.scope,
                dry_run=False,
                user=self.job.user,
                repair_job_id=self.job.pk,
                context=context,
                on_result=self._tell,
                schedule=self.job.params.get("schedule", ""),
            )
        except SoftTimeLimitExceeded:
            raise JobFailedError(OUT_OF_TIME) from None
        self.job.logger.info("Repair of %s: %d repaired.", kept.scope, self.counts["rows_repaired"])
        self.job.logger.info("Integrity run %d lists the rows.", kept.pk)
        if self.crashes:
            raise self.crashes[0]
        if broken := list(kept.results.exclude(error="").order_by("pk")):
            raise JobFailedError(
                f"{len(broken)} of {len(self.checks)} checks could not finish. "
                f"{CHECKS[broken[0].key].title}: {broken[0].error}"
            )

    def _checks(self) -> Iterator[Check]:
        for check in self.checks:
            self.job.raise_if_canceled()
            yield check

    def _tell(self, result: IntegrityResult) -> None:
        """Update the progress and the log of the Job."""
        self.ended += 1
        self.count(
            rows_found=result.found, rows_repaired=result.fixed, rows_remaining=result.remaining
        )
        if result.unfixable:
            self.skip("could not be repaired", rows=result.unfixable, ids=[])
        stage = self.job.progress.update_stage(self.key, progress=self.ended / len(self.checks))
        for name, value in self.counts.items():
            self.job.progress.add_or_update_stage_param(stage, name, value)
        stage.skipped = {reason: skipped.rows for reason, skipped in self.skipped.items()}
        drop_dead_connection()
        self.job.checkpoint()
        log = self.job.logger.warning if result.remaining or result.error else self.job.logger.info
        log("%s", _sentence(result))
        self.on_check(result)


def new_repair(
    checks: Iterable[Check],
    *,
    scope: Scope,
    user: User | None = None,
    launch_key: str | None = None,
    schedule: str = "",
) -> Job:
    """An unsaved Job to queue or to run here; `schedule` is the name of its periodic task."""
    return Job(
        name=NAME,
        project_id=scope.project_id,
        user=user,
        job_type_key=JOB_TYPE,
        params={
            "checks": [check.key for check in checks],
            "job": scope.job_id,
            **({"schedule": schedule} if schedule else {}),
        },
        launch_key=launch_key,
    )


def repair_here(
    job: Job,
    *,
    on_batch: Callable[[int], object] = nothing,
    on_check: Callable[[IntegrityResult], object] = nothing,
) -> IntegrityRun | None:
    """Run an unsaved Job of :func:`new_repair` in this process; `job` is refreshed at the end.

    Returns None if there is no run yet: a Job that has to wait for another is queued. If this
    process is interrupted, the Job is canceled.
    """
    job.save()
    try:
        run(job.pk, make=partial(Repair, on_batch=on_batch, on_check=on_check))
    except BaseException as error:
        drop_dead_connection()
        held = Job.objects.get(pk=job.pk)
        if isinstance(error, Exception):
            held.finish(Outcome.CRASHED, error=f"{type(error).__name__}: {error}")
        else:
            held.finish(Outcome.CANCELED)
        raise
    drop_dead_connection()
    job.refresh_from_db()
    return IntegrityRun.objects.filter(repair_job=job).order_by("pk").last()


def must_wait(job: Job) -> bool:
    """Whether :func:`repair_here` has queued the Job to run after another Job has ended."""
    return job.status == JobState.PENDING


@contextmanager
def _batch(job: Job) -> Iterator[None]:
    job.raise_if_canceled()
    with journaled(job), connection.cursor() as cursor:
        cursor.execute(LOCK_PATIENCE)
        yield
        job.checkpoint()


def _sentence(result: IntegrityResult) -> str:
    told = (
        f"{CHECKS[result.key].title}: {result.found:,} found, {result.fixed:,} repaired, "
        f"{result.remaining:,} remain."
    )
    return f"{told} {result.error}" if result.error else told


def queue_again(job: Job, user: User | None) -> Job:
    """Queue a new repair with the same checks and scope. Raises JobFailedError."""
    repair = Repair(job)
    return create_jobs([new_repair(repair.checks, scope=repair.scope, user=user)])[0]


JOB_TYPES.register(JOB_TYPE, Repair)
RUNS_AGAIN.register(JOB_TYPE, queue_again)
