"""Periodic tasks: those of PERIODIC_TASKS, with arguments that they accept."""

import json
from typing import Any, cast

from celery import current_app
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django_celery_beat.admin import PeriodicTaskAdmin as BasePeriodicTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm as BasePeriodicTaskForm
from django_celery_beat.admin import TaskChoiceField, TaskSelectWidget
from django_celery_beat.models import PeriodicTask

from ami.base.arguments import require_fit
from ami.base.forms import JSONTextField

OWN = "ami."
STARTING = {"enable_tasks", "toggle_tasks", "run_tasks"}
NAMED = 5
TRANSLATION = "crontab_translation"

admin.site.unregister(PeriodicTask)


class ListedTaskSelect(TaskSelectWidget):  # type: ignore[misc]
    """Offers the registered tasks of PERIODIC_TASKS."""

    def tasks_as_choices(self) -> tuple[tuple[str, str], ...]:
        choices = super().tasks_as_choices()
        return tuple(choice for choice in choices if choice[0] in ("", *settings.PERIODIC_TASKS))


class PeriodicTaskForm(BasePeriodicTaskForm):  # type: ignore[misc]
    """Accept only arguments that Celery can send and that the task can run with."""

    regtask = TaskChoiceField(label="Task (registered)", required=False, widget=ListedTaskSelect)
    args = JSONTextField(
        kind=list, label="Positional arguments", help_text='JSON, such as [1, "two"].'
    )
    kwargs = JSONTextField(
        kind=dict, label="Keyword arguments", help_text='JSON, such as {"project_id": 1}.'
    )
    headers = JSONTextField(
        kind=dict, label="Message headers", help_text='JSON, such as {"name": "value"}.'
    )

    def clean_args(self) -> str:
        return str(self.cleaned_data["args"])

    def clean_kwargs(self) -> str:
        return str(self.cleaned_data["kwargs"])

    def clean(self) -> dict[str, Any]:
        """Check the arguments; the library's own method would fail at a refused task name."""
        data: dict[str, Any] = self.cleaned_data if "task" in self.errors else super().clean()
        name = data.get("task", "")
        if name and name not in settings.PERIODIC_TASKS:
            listed = ", ".join(sorted(settings.PERIODIC_TASKS))
            self.add_error("regtask", f"The task {name} cannot be scheduled. Choose from {listed}.")
        elif name.startswith(OWN) and not {"args", "kwargs"} & set(self.errors):
            args, kwargs = json.loads(data["args"]), json.loads(data["kwargs"])
            try:
                require_runnable(data["task"], args, kwargs)
            except (LookupError, TypeError, ValueError) as odd:
                self.add_error("kwargs" if kwargs else "args", str(odd))
        return data


def require_runnable(name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Raises LookupError, TypeError or ValueError if the task cannot take these arguments.

    A task with a `read_arguments` decides itself; for all others, its signature does.
    """
    current_app.loader.import_default_modules()
    if name not in current_app.tasks:
        known = ", ".join(sorted(task for task in current_app.tasks if task.startswith(OWN)))
        raise TypeError(f"There is no task {name}. Registered: {known}.")
    task = current_app.tasks[name]
    if read := getattr(task, "read_arguments", None):
        read(args, kwargs)
    else:
        require_fit(task.run, args, kwargs)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(BasePeriodicTaskAdmin):  # type: ignore[misc]
    form = PeriodicTaskForm
    change_form_template = "admin/jobs/periodictask/change_form.html"

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Refuse to enable or run tasks that are not in PERIODIC_TASKS, however they came here."""
        if request.POST.get("action") in STARTING:
            chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
            rows = (
                queryset
                if request.POST.get("select_across") == "1"
                else queryset.filter(pk__in=chosen)
            )
            others = rows.exclude(task__in=settings.PERIODIC_TASKS).order_by("name")
            if names := list(others.values_list("name", flat=True)[:NAMED]):
                self.message_user(
                    request,
                    f"Nothing was done, because some of the selected tasks cannot be scheduled: "
                    f"{', '.join(names)}. Disable or delete them, or choose a listed task on their "
                    "pages.",
                    messages.WARNING,
                )
                return HttpResponseRedirect(request.get_full_path())
        return cast("HttpResponse | None", super().response_action(request, queryset))

    def get_fieldsets(self, request: HttpRequest, obj: PeriodicTask | None = None) -> Any:
        """Leave out the translation of the crontab, which the page shows below the field."""
        return [
            (name, options | {"fields": [f for f in options["fields"] if f != TRANSLATION]})
            for name, options in super().get_fieldsets(request, obj)
        ]
