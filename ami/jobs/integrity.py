"""The integrity checks as a task of beat, and its schedule."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from celery.exceptions import ImproperlyConfigured, SoftTimeLimitExceeded
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from pydantic import StrictBool, StrictStr, validate_arguments

from ami.base.arguments import UnfitArgumentsError, call_fit
from ami.base.ids import RowId
from ami.base.registry import UnknownKeyError
from ami.jobs.models import Job
from ami.jobs.repairs import new_repair, repair_here
from ami.main.checks.declarations import Check, chosen_checks
from ami.main.checks.repair import RepairContext
from ami.main.checks.runner import Scope, run_checks
from ami.main.models import IntegrityResult, IntegrityRun, Project
from ami.users.models import User

TASK = "ami.jobs.tasks.data_integrity_check"
# It has other names, for schedules and messages that use those.
TASKS = (TASK, "ami.jobs.tasks.check_data_integrity", "ami.main.tasks.check_data_integrity")
SCHEDULE_NAME = "main.data_integrity_check"
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
    """A row of beat's schedule that runs the checks.

    `next` is None where it is switched off, and where Celery cannot tell, as of 30 February.
    `failed` is its last run, where that could not do all that it should.
    """

    task: PeriodicTask
    next: datetime | None
    failed: IntegrityRun | None


class UnknownScopeError(ValueError):
    """There is no such project or Job, or the two do not belong together; the message says it."""


REFUSALS = (UnfitArgumentsError, UnknownKeyError, UnknownScopeError)


class Asked(NamedTuple):
    """What the arguments of the task ask for."""

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
    """What the task is asked for. Raises one of the `REFUSALS`."""
    return call_fit(_asked, args, kwargs)


def check_integrity(
    args: Sequence[Any], kwargs: Mapping[str, Any], *, schedule: str = ""
) -> dict[str, dict[str, int]]:
    """Run the checks that the task's arguments ask for; returns what was found by key.

    A repair that has to wait for another Job is left to run by itself, and returns nothing yet.
    Where the arguments ask for what there is not, a run is kept that says so, and one of the
    `REFUSALS` raised. `schedule` is the name of the periodic task that asks.
    """
    try:
        checks, scope, dry_run, user = read_arguments(args, kwargs)
    except REFUSALS as odd:
        IntegrityRun.objects.create(error=str(odd), schedule=schedule, finished_at=timezone.now())
        raise
    run: IntegrityRun | None
    if dry_run:
        context = RepairContext(interrupts=(SoftTimeLimitExceeded,))
        run = run_checks(checks, scope=scope, user=user, context=context, schedule=schedule)
    else:
        run = repair_here(new_repair(checks, scope=scope, user=user, schedule=schedule))
    return {
        result.key: {
            "checked": result.found,
            "fixed": result.fixed,
            "unfixable": result.unfixable + bool(result.error),
        }
        for result in (run.results.order_by("pk") if run else ())
    }


def schedules() -> list[Schedule]:
    """The first ten, by name."""
    rows = PeriodicTask.objects.filter(task__in=TASKS).order_by("name")
    rows = rows.select_related("interval", "crontab", "solar", "clocked")
    failed = {run.schedule: run for run in failed_runs()}
    return [Schedule(task, _next(task), failed.get(task.name)) for task in rows[:SHOWN]]


def failed_runs() -> list[IntegrityRun]:
    """The last run of each schedule that is on, where it could not do all that it should."""
    names = PeriodicTask.objects.filter(task__in=TASKS, enabled=True).values("name")
    last = IntegrityRun.objects.filter(schedule__in=names).order_by("schedule", "-pk")
    broken = IntegrityResult.objects.exclude(error="").filter(run=OuterRef("pk"))
    return list(
        IntegrityRun.objects.filter(
            ~Q(error="") | Exists(broken), pk__in=last.distinct("schedule").values("pk")
        )
    )


def schedule_daily() -> bool:
    """Let beat run all checks once a day, at 04:15. False where something is scheduled already."""
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
    # To the second: the estimate is taken a moment later than `now`.
    return (max(now, now + left) + timedelta(milliseconds=500)).replace(microsecond=0)
