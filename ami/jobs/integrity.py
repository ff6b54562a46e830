"""The integrity checks as a task of beat, and its schedule."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from celery.exceptions import ImproperlyConfigured, SoftTimeLimitExceeded
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from ami.jobs.models import Job
from ami.jobs.repairs import new_repair, repair_here
from ami.main.checks.declarations import chosen_checks
from ami.main.checks.repair import RepairContext
from ami.main.checks.runner import Scope, run_checks
from ami.main.models import IntegrityRun, Project
from ami.users.models import User

TASK = "ami.jobs.tasks.data_integrity_check"
TASKS = (TASK, "ami.jobs.tasks.check_data_integrity")
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
    """

    task: PeriodicTask
    next: datetime | None


class UnknownScopeError(ValueError):
    """There is no such project or Job, or the two do not belong together; the message says it."""


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


def check_integrity(
    project_id: int | None,
    job_id: int | None,
    *,
    dry_run: bool,
    keys: Iterable[str] = (),
    tags: Iterable[str] = (),
    user_id: int | None = None,
) -> dict[str, dict[str, int]]:
    """Run the checks of these keys or tags, or all; returns what was found by key.

    A repair that has to wait for another Job is left to run by itself, and returns nothing yet.
    Raises UnknownKeyError and UnknownScopeError.
    """
    checks = chosen_checks(keys=keys, tags=tags)
    scope = scope_of(project_id, job_id)
    user = User.objects.filter(pk=user_id).first() if user_id else None
    run: IntegrityRun | None
    if dry_run:
        context = RepairContext(interrupts=(SoftTimeLimitExceeded,))
        run = run_checks(checks, scope=scope, user=user, context=context)
    else:
        run = repair_here(new_repair(checks, scope=scope, user=user))
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
    return [Schedule(task, _next(task)) for task in rows[:SHOWN]]


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
