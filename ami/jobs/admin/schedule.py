"""Periodic tasks, which beat sends: those of this project are saved only as they can run."""

from collections.abc import Mapping, Sequence
from typing import Any

from celery import current_app
from django.contrib import admin
from django_celery_beat.admin import PeriodicTaskAdmin, PeriodicTaskForm
from django_celery_beat.models import PeriodicTask
from kombu.utils.json import loads

from ami.base.arguments import require_fit
from ami.jobs import integrity

OWN = "ami."


class ScheduleForm(PeriodicTaskForm):  # type: ignore[misc]  # has no types
    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean()
        name = data["task"]
        if name.startswith(OWN) and not {"args", "kwargs"} & set(self.errors):
            try:
                require_runnable(name, loads(data["args"]), loads(data["kwargs"]))
            except (*integrity.REFUSALS, TypeError) as odd:
                self.add_error("kwargs" if loads(data["kwargs"]) else "args", str(odd))
        return data


def require_runnable(name: str, args: Any, kwargs: Any) -> None:
    """Raises TypeError, or one of `integrity.REFUSALS`, where the task cannot run with these."""
    if not isinstance(args, Sequence) or isinstance(args, str):
        raise TypeError("Positional arguments must be a JSON list, such as [1].")
    if not isinstance(kwargs, Mapping):
        raise TypeError('Keyword arguments must be a JSON object, such as {"dry_run": true}.')
    if name in integrity.TASKS:
        integrity.read_arguments(args, kwargs)
        return
    current_app.loader.import_default_modules()
    if name not in current_app.tasks:
        known = ", ".join(sorted(task for task in current_app.tasks if task.startswith(OWN)))
        raise TypeError(f"There is no task {name}. Registered: {known}.")
    require_fit(current_app.tasks[name].run, args, kwargs)


admin.site.unregister(PeriodicTask)


@admin.register(PeriodicTask)
class ScheduleAdmin(PeriodicTaskAdmin):  # type: ignore[misc]
    form = ScheduleForm
