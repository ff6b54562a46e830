"""The integrity checks as a periodic task, and its schedule."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from celery.exceptions import ImproperlyConfigured
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from pydantic import StrictBool, StrictStr, validate_arguments

from ami.base.arguments import UnfitArgumentsError, call_fit
from ami.base.ids import RowId
from ami.base.registry import UnknownKeyError
from ami.base.words import counted
from ami.integrity.finding import Scope
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.integrity.runner import run_checks
from ami.integrity.service import new_repair, repair_in_worker
from ami.jobs.models import Job
from ami.jobs.watch.vitals import WARNINGS
from ami.main.checks.declarations import Check, chosen_checks
from ami.main.models import Project
from ami.users.models import User

TASK = "ami.integrity.tasks.data_integrity_check"
# The others are its other name, and its name in Antenna.
TASKS = (TASK, "ami.integrity.tasks.check_data_integrity", "ami.main.tasks.check_data_integrity")
SCHEDULE_NAME = "integrity.data_integrity_check"
DAILY = {
    "minute": "15",
    "hour": "4",
    "day_of_week": "*",
    "day_of_month": "*",
    "month_of_year": "*",
    "timezone": "UTC",
}
SHOWN = 10


class Schedule(NamedTuple):
    """A periodic task that runs the checks.

    `next` is None if the task is disabled or its next run is unknown, as for 30 February. `failed`
    is its last run if that run was incomplete.
    """

    task: PeriodicTask
    next: datetime | None
    failed: IntegrityRun | None


class UnknownScopeError(ValueError):
    """The project or Job does not exist, or the Job belongs to another project."""


REFUSALS = (UnfitArgumentsError, UnknownKeyError, UnknownScopeError)


class Asked(NamedTuple):
    """The parsed arguments of the task."""

    checks: list[Check]
    scope: Scope
    dry_run: bool
    user: User | None


def scope_of(project_id: int | None, job_id: int | None) -> Scope:
    """Raises UnknownScopeError."""
    if project_id is not None and not Project.objects.filter(pk=project_id).exists():
        raise UnknownScopeError(f"There is no project {project_id}.")
    if job_id is None:
        return Scope(project_id)
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise UnknownScopeError(f"There is no Job {job_id}.")
    if project_id not in {None, job.project_id}:
        owner = "no project" if job.project_id is None else f"project {job.project_id}"
        raise UnknownScopeError(f"Job {job_id} belongs to {owner}, not to project {project_id}.")
    return Scope(project_id, job_id)


@validate_arguments
def _asked(
    project_id: RowId | None = None,
    job_id: RowId | None = None,
    dry_run: StrictBool = True,
    *,
    checks: Sequence[StrictStr] = (),
    tags: Sequence[StrictStr] = (),
    user_id: RowId | None = None,
) -> Asked:
    return Asked(
        checks=chosen_checks(keys=checks, tags=tags),
        scope=scope_of(project_id, job_id),
        dry_run=bool(dry_run),
        user=User.objects.filter(pk=user_id).first() if user_id else None,
    )


def read_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Asked:
    """Parse the arguments of the task. Raises one of the `REFUSALS`."""
    return call_fit(_asked, args, kwargs)


def check_integrity(
    args: Sequence[Any], kwargs: Mapping[str, Any], *, schedule: str = ""
) -> dict[str, dict[str, int]]:
    """Run the checks that the task's arguments name; returns the findings by check.

    A repair that has to wait for another Job stays queued; the result is then empty. One that
    takes longer than a worker's time goes on in the queue; the result is what it has done. Invalid
    arguments are recorded as a run with an error, and raise one of the `REFUSALS`. `schedule` is
    the name of the periodic task, if any.
    """
    try:
        checks, scope, dry_run, user = read_arguments(args, kwargs)
    except REFUSALS as odd:
        IntegrityRun.objects.create(error=str(odd), schedule=schedule, finished_at=timezone.now())
        raise
    run: IntegrityRun | None
    if dry_run:
        run = run_checks(checks, scope=scope, user=user, schedule=schedule)
    else:
        run = repair_in_worker(new_repair(checks, scope=scope, user=user, schedule=schedule))
    return {
        result.key: {
            "checked": result.found,
            "fixed": result.fixed,
            "unfixable": result.unfixable + bool(result.error),
        }
        for result in (run.results.order_by("pk") if run else ())
    }


def schedules() -> list[Schedule]:
    """The first ten schedules, by name."""
    rows = PeriodicTask.objects.filter(task__in=TASKS).order_by("name")
    rows = rows.select_related("interval", "crontab", "solar", "clocked")
    failed = {run.schedule: run for run in failed_runs()}
    return [Schedule(task, _next(task), failed.get(task.name)) for task in rows[:SHOWN]]


def failed_runs() -> list[IntegrityRun]:
    """The last run of each enabled schedule, if that run was incomplete."""
    names = PeriodicTask.objects.filter(task__in=TASKS, enabled=True).values("name")
    last = IntegrityRun.objects.filter(schedule__in=names).order_by("schedule", "-pk")
    broken = IntegrityResult.objects.exclude(error="").filter(run=OuterRef("pk"))
    return list(
        IntegrityRun.objects.filter(
            ~Q(error="") | Exists(broken), pk__in=last.distinct("schedule").values("pk")
        )
    )


def warnings() -> list[str]:
    """What `/healthz` tells about the schedules."""
    if not (failed := len(failed_runs())):
        return []
    checks = counted(failed, "scheduled integrity check")
    return [f"{checks} could not run; the list of runs shows the errors."]


def schedule_daily() -> bool:
    """Schedule all checks daily at 04:15 UTC. Returns False if a schedule already exists."""
    if PeriodicTask.objects.filter(task__in=TASKS).exists():
        return False
    alike = CrontabSchedule.objects.filter(**DAILY)  # an operator may have several
    crontab = alike.first() or CrontabSchedule.objects.create(**DAILY)
    _, created = PeriodicTask.objects.get_or_create(
        name=SCHEDULE_NAME,
        defaults={
            "task": TASK,
            "crontab": crontab,
            "description": "Looks for faults in the rows, and reports them.",
        },
    )
    return bool(created)


def _next(task: PeriodicTask) -> datetime | None:
    if not task.enabled:
        return None
    now = timezone.now()
    since = task.last_run_at or task.start_time or now
    try:
        left: timedelta = task.schedule.remaining_estimate(since)
    except (ImproperlyConfigured, OverflowError, ValueError):
        return None
    # Round to the second, because the estimate is computed slightly later than `now`.
    return (max(now, now + left) + timedelta(milliseconds=500)).replace(microsecond=0)


WARNINGS.register("integrity", warnings)
