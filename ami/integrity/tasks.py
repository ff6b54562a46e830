from typing import Any

from celery import Task, shared_task

from ami.integrity.schedule import REFUSALS, TASKS, check_integrity, read_arguments


class IntegrityTask(Task):  # type: ignore[type-arg]
    """A task whose schedule is refused, before it is saved, if the arguments are not valid."""

    read_arguments = staticmethod(read_arguments)


def _check(task: Any, *args: Any, **kwargs: Any) -> dict[str, dict[str, int]]:
    """Check the integrity of the rows of a scope; `dry_run=False` repairs them, as a Job.

    Takes `project_id`, `job_id` and `dry_run`, and as keywords `checks`, `tags` and `user_id`.
    Other arguments are refused in the worker, because an error in beat would not be shown to
    anyone.
    """
    schedule = getattr(task.request, "periodic_task_name", None) or ""
    return check_integrity(args, kwargs, schedule=schedule)


data_integrity_check, check_data_integrity, _ = (
    shared_task(base=IntegrityTask, name=name, bind=True, throws=REFUSALS)(_check) for name in TASKS
)
