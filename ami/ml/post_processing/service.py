"""Launch methods as Jobs, and make the work of those Jobs. Every entry point calls this."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied

from ami.jobs.engine.registry import JOB_TYPES, RUNS_AGAIN
from ami.jobs.models import Job
from ami.jobs.service import create_jobs
from ami.jobs.states import JobFailedError
from ami.main.access import RUN
from ami.main.models import Project
from ami.ml.post_processing.base import BasePostProcessingTask, OwnRun
from ami.ml.post_processing.registry import get_postprocessing_task
from ami.ml.post_processing.scopes import chosen_scope, missing_rows
from ami.ml.post_processing.validation import ConfigValidationErrors, parse_config, stored_config
from ami.users.models import User

JOB_TYPE = "post_processing"


def default_job_name(task_cls: type[BasePostProcessingTask], row: Any) -> str:
    return f"{task_cls.name} on {row._meta.verbose_name} {row}"


def run_permission(task_cls: type[BasePostProcessingTask]) -> str:
    """Return the permission to run the method, such as "jobs.run_tracking"."""
    return f"{RUN}{task_cls.key}"


class LaunchRow(NamedTuple):
    """A Job to create: its name, project and options, and the Job that it applies, if any."""

    name: str
    project: Project | None
    config: dict[str, Any]
    applies: Job | None = None


def launch(
    task_cls: type[BasePostProcessingTask],
    rows: Sequence[LaunchRow],
    *,
    user: User | None = None,
    launch_key: str | None = None,
    dry_run: bool = False,
) -> list[Job]:
    """Create one queued Job per row, all or none, and publish them on commit.

    With `dry_run`, the Jobs do what the run would do and roll it back. Raises, before anything is
    written, ConfigValidationErrors with the distinct errors of all rows, AlreadyLaunchedError if
    `launch_key` has been used, and PermissionDenied if `user` may not run the method in the project
    of a row. Without a `user`, nothing is restricted.
    """
    if user is not None:
        require_right(user, task_cls, {row.project for row in rows})
    if dry_run and task_cls.has_own_run():
        raise ConfigValidationErrors([(None, f"{task_cls.name} does not support dry runs.")])
    configs = _validate(task_cls, rows, user)
    jobs = [
        Job(
            name=row.name[: Job._meta.get_field("name").max_length],
            project=row.project,
            user=user,
            job_type_key=JOB_TYPE,
            params={"task": task_cls.key, "config": config},
            launch_key=f"{launch_key}/{number}" if launch_key else None,
            dry_run=dry_run,
            applies=row.applies,
        )
        for number, (row, config) in enumerate(zip(rows, configs, strict=True))
    ]
    return create_jobs(jobs)


def require_right(
    user: User, task_cls: type[BasePostProcessingTask], projects: Iterable[Project | None]
) -> None:
    """Raises PermissionDenied if the user may not run the method in each of the projects."""
    perm = run_permission(task_cls)
    for project in projects:
        if not (user.has_perm(perm, project) if project else user.is_superuser):
            raise PermissionDenied(
                f"{user} may not run {task_cls.name} in {project or 'no project'}. A manager of "
                "the project can allow it."
            )


def _validate(
    task_cls: type[BasePostProcessingTask], rows: Sequence[LaunchRow], user: User | None
) -> list[dict[str, Any]]:
    configs: list[dict[str, Any]] = []
    faults: dict[tuple[str | None, str], None] = {}
    for row in rows:
        try:
            config = parse_config(task_cls.config_schema, row.config)
            faults |= dict.fromkeys(missing_rows(config, user=user))
            configs.append(stored_config(config))
        except ConfigValidationErrors as invalid:
            faults |= dict.fromkeys(invalid.errors)
    if faults:
        raise ConfigValidationErrors(list(faults))
    return configs


def task_of(job: Job) -> BasePostProcessingTask:
    """The method that a Job's `params` name. Raises JobFailedError if they are incomplete."""
    try:
        key, config = job.params["task"], job.params["config"]
    except KeyError as missing:
        raise JobFailedError(f"The Job's parameters lack {missing}.") from None
    except TypeError:
        raise JobFailedError(f"The Job's parameters are not a mapping: {job.params!r}.") from None
    task_cls = get_postprocessing_task(str(key))
    try:
        parse_config(task_cls.config_schema, config)
    except ConfigValidationErrors as invalid:
        raise JobFailedError(str(invalid)) from None
    return task_cls(job=job, **config)


def work_of(job: Job) -> BasePostProcessingTask | OwnRun:
    """The method that a Job's `params` name, as work for the engine. Raises as `task_of` does."""
    task = task_of(job)
    return OwnRun(task) if task.has_own_run() else task


def launch_again(job: Job, user: User | None) -> Job:
    """Launch a new Job with the method and options of `job`.

    Raises JobFailedError as `task_of` does, and if a row that it ran on no longer exists.
    """
    task = task_of(job)
    chosen_scope(task.config)
    row = LaunchRow(job.name, job.project, job.params["config"])
    return launch(type(task), [row], user=user, dry_run=job.dry_run)[0]


JOB_TYPES.register(JOB_TYPE, work_of)
RUNS_AGAIN.register(JOB_TYPE, launch_again)
