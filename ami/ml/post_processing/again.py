"""Apply a dry run, or a run that was reverted, as a new Job."""

from functools import reduce
from logging import getLogger
from operator import xor

from django.db.models import Model, QuerySet

from ami.base.audit import Kind, record
from ami.base.words import counted
from ami.jobs import applying
from ami.jobs.engine import basis
from ami.jobs.engine.work import Planned
from ami.jobs.models import Job
from ami.jobs.service import AlreadyLaunchedError, ApplyRefusedError, ScopeChangedError
from ami.jobs.states import JobFailedError
from ami.main.models import Classification, Detection, Identification
from ami.ml.post_processing.service import JOB_TYPE, LaunchRow, launch, task_of
from ami.ml.post_processing.validation import ConfigValidationErrors
from ami.users.models import User

logger = getLogger(__name__)


def can_apply(job: Job) -> bool:
    """Whether `job` is a dry run to apply, or a reverted run to apply again."""
    return _refusal(job) is None and applying.standing(job) is None


def apply(job: Job, *, user: User | None, confirmed: bool = False) -> Job:
    """Launch a new Job with the method, options and scope of `job`.

    Raises ApplyRefusedError; AlreadyLaunchedError if `job` was applied and that stands; and, unless
    `confirmed`, ScopeChangedError if the scope has changed since the dry run.
    """
    if reason := _refusal(job):
        raise ApplyRefusedError(reason)
    key = applying.launch_key(job)
    if standing := applying.standing(job):
        raise AlreadyLaunchedError([standing.pk])
    try:
        task = task_of(job)
        changes = scope_changes(job) if job.dry_run and not confirmed else []
    except JobFailedError as gone:
        raise ApplyRefusedError(str(gone)) from None
    if changes:
        raise ScopeChangedError(changes)
    row = LaunchRow(job.name, job.project, job.params["config"], applies=job)
    try:
        again = launch(type(task), [row], user=user, launch_key=key)[0]
    except ConfigValidationErrors as invalid:
        raise ApplyRefusedError(str(invalid)) from None
    record([job], kind=Kind.APPLY, user=user, message=f"Applied by Job {again.pk}.")
    return again


def scope_changes(job: Job) -> list[str]:
    """How the scope of `job`, and what its method consulted, have changed since the Job began.

    One sentence per change; empty if nothing has changed. Raises JobFailedError if something that
    the method consults no longer exists.
    """
    # Use another logger: the Job's log already has the lines that planning writes.
    task = type(task_of(job))(job=job, logger=logger, **job.params["config"])
    since: list[tuple[type[Model], QuerySet[Model]]] = [
        (Detection, task.scope),
        (Classification, Classification.objects.filter(detection__in=task.scope.values("pk"))),
        (
            Identification,
            Identification.objects.filter(
                occurrence__in=task.scope.exclude(occurrence=None).values("occurrence_id")
            ),
        ),
    ]
    basis.fix(task)
    changes = _membership(job, task.plan())
    for model, rows in since:
        if touched := rows.filter(updated_at__gt=job.started_at).count():
            noun = model._meta.verbose_name if touched == 1 else model._meta.verbose_name_plural
            changes.append(f"{touched} {noun} added or changed since.")
    return changes + (basis.differences(job.basis.value, task.basis) if job.basis else [])


def _membership(job: Job, planned: list[Planned]) -> list[str]:
    parts = job.parts.values_list("batches", flat=True)
    then = [Planned(*batch) for batches in parts for batch in batches]
    rows_then, rows_now = sum(b.rows for b in then), sum(b.rows for b in planned)
    if rows_then != rows_now:
        return [f"The scope held {counted(rows_then, 'detection')}; it now holds {rows_now:,}."]
    if _digest(then) != _digest(planned):
        return ["The scope holds other detections than before."]
    return []


def _digest(batches: list[Planned]) -> int:
    """The digest of the ids of all detections, however they are split into batches."""
    return reduce(xor, (batch.key[-1] for batch in batches), 0)


def _refusal(job: Job) -> str | None:
    if job.job_type_key != JOB_TYPE:
        return f"Job {job.pk} is not a run of a method; there is nothing to apply."
    return applying.refusal(job)
