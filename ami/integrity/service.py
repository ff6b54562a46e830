"""Start repairs of integrity faults: in a worker, in this process, or by calling `reconcile_*`."""

from collections.abc import Callable, Iterable
from functools import partial

from django.db import transaction

from ami.base.audit import Kind
from ami.integrity.finding import Scope
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.integrity.work import Repair, nothing
from ami.jobs.engine.here import cancel_waiting, must_wait, run_now
from ami.jobs.engine.registry import JOB_TYPES, RUNS_AGAIN
from ami.jobs.engine.runner import run
from ami.jobs.models import Job
from ami.jobs.service import create_jobs, record_start
from ami.jobs.states import JobState
from ami.main.checks.declarations import CHECKS, ENGINE, REPAIRERS, Check, Pair
from ami.main.checks.schemas import IntegrityCheckResult
from ami.users.models import User

JOB_TYPE = "data_integrity"
NAME = "Repair of integrity faults"


class RepairStoppedError(Exception):
    """A repair that code has called did not succeed; the message says why."""


def new_repair(
    checks: Iterable[Check],
    *,
    scope: Scope,
    user: User | None = None,
    launch_key: str | None = None,
    schedule: str = "",
    dry_run: bool = False,
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
            **({"tables": scope.tables} if scope.tables else {}),
            **({"schedule": schedule} if schedule else {}),
        },
        launch_key=launch_key,
        dry_run=dry_run,
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
    _save(job)
    run_now(job, partial(Repair, on_batch=on_batch, on_check=on_check))
    return result_of(job)


def repair_in_worker(job: Job) -> IntegrityRun | None:
    """Run an unsaved Job like a worker, which sends the rest to the queue when its time is up."""
    _save(job)
    run(job.pk)
    return result_of(job)


def _save(job: Job) -> None:
    with transaction.atomic():
        job.save()
        record_start([job], kind=Kind.REPAIR)


def result_of(job: Job) -> IntegrityRun | None:
    """The run of a repair, if it has begun; `job` is refreshed."""
    job.refresh_from_db()
    return IntegrityRun.objects.filter(repair_job=job).first()


def reconcile(
    pair: Pair,
    project_id: int | None = None,
    job_id: int | None = None,
    ids: Iterable[int] | None = None,
) -> IntegrityCheckResult:
    """Repair the rows that `pair` finds, as a Job in this process. Raises RepairStoppedError.

    The Job is the record of what was done. Its integrity run is deleted, because the history is
    that of whole checks.
    """
    check = next(check for check in CHECKS.values() if pair in check.pairs)
    tables = {pair.label: None if ids is None else list(ids)}
    job = new_repair([check], scope=Scope(project_id, job_id, tables))
    kept = repair_here(job)
    if must_wait(job):
        raise RepairStoppedError(f"Nothing was repaired. {cancel_waiting(job)}")
    if kept is None or job.status != JobState.SUCCESS:
        raise RepairStoppedError(job.error)
    result = kept.results.get()
    kept.delete()
    return IntegrityCheckResult(
        checked=result.found,
        fixed=result.fixed,
        unfixable=result.unfixable,
        reasons={told["id"]: told["reason"] for told in result.reasons},
    )


def queue_again(job: Job, user: User | None) -> Job:
    """Queue a new repair with the same checks and scope. Raises JobFailedError."""
    repair = Repair(job)
    again = new_repair(repair.checks, scope=repair.scope, user=user, dry_run=job.dry_run)
    return create_jobs([again], kind=Kind.REPAIR)[0]


JOB_TYPES.register(JOB_TYPE, Repair)
RUNS_AGAIN.register(JOB_TYPE, queue_again)
REPAIRERS.register(ENGINE, reconcile)
