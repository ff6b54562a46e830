"""The action “Export…”: a page that asks for the format, then one Job per selected row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, AdminForm
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from pydantic import ValidationError

from ami.base.actions import ACTIONS
from ami.base.links import change_link
from ami.base.storable import storable_text
from ami.base.words import counted
from ami.exchange.export.registry import FORMATS, ExportError, ExportOptions, parse_options
from ami.exchange.export.scope import Scope
from ami.exchange.work import queue_exports
from ami.jobs.models import Job
from ami.jobs.service import AlreadyLaunchedError
from ami.main.models import Event, Occurrence, Project, SourceImageCollection
from ami.users.models import User

CONFIRM = "_export"
KEY = "launch_key"
KEY_LENGTH = 50
MOST_FILES = 20
MOST_OCCURRENCES = 100_000
SHOWN = 10

Named = tuple[str, Scope]


class ExportForm(forms.Form):
    """The format, and the fields of :class:`ExportOptions`."""

    form = forms.ChoiceField(label="Format", widget=forms.RadioSelect)
    media_url = forms.CharField(
        required=False,
        label=ExportOptions.__fields__["media_url"].field_info.title,
        help_text=ExportOptions.__fields__["media_url"].field_info.description or "",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = cast(forms.ChoiceField, self.fields["form"])
        choice.choices = [
            (key, format_html("{}<br>{}", one.name, one.description))
            for key, one in FORMATS.items()
        ]
        choice.initial = "csv"

    def options(self) -> ExportOptions:
        """Return the options. Raises pydantic's ValidationError."""
        return parse_options({"media_url": self.cleaned_data["media_url"]})


@dataclass(frozen=True)
class ExportAction:
    """Exports the selected rows of a model; `scopes` returns what each file takes.

    It raises ExportError if too many rows are selected.
    """

    scopes: Callable[[QuerySet[Any]], list[Named]]
    permission: str = "exchange.add_export"
    short_description: str = "Export…"

    @property
    def __name__(self) -> str:
        return "export_rows"

    def __call__(
        self, model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        try:
            scopes = self.scopes(queryset)
        except ExportError as refused:
            model_admin.message_user(request, str(refused), messages.WARNING)
            return None
        is_confirmed = CONFIRM in request.POST
        form = ExportForm(request.POST if is_confirmed else None)
        if is_confirmed and form.is_valid() and self._queue(model_admin, request, form, scopes):
            return None
        return self._page(model_admin, request, queryset, form, scopes)

    def _queue(
        self,
        model_admin: admin.ModelAdmin[Any],
        request: HttpRequest,
        form: ExportForm,
        scopes: list[Named],
    ) -> bool:
        """Queue the Jobs and tell it; False if the form was refused, and then says why."""
        key = storable_text(request.POST.get(KEY, ""))[:KEY_LENGTH] or uuid4().hex
        text, level = "Queued {}. The page of the Job offers the file.", messages.SUCCESS
        try:
            jobs = queue_exports(
                FORMATS[form.cleaned_data["form"]],
                form.options(),
                scopes,
                user=cast(User, request.user),
                launch_key=key,
            )
            ids = [job.pk for job in jobs]
        except AlreadyLaunchedError as launched:
            ids = launched.job_ids
            text, level = "This form was submitted before, and queued {}.", messages.WARNING
        except ValidationError as invalid:
            for error in invalid.errors():
                form.add_error(str(error["loc"][0]), f"It {error['msg']}.")
            return False
        except ExportError as refused:
            form.add_error("form", str(refused))
            return False
        links = format_html_join(", ", "{}", ((change_link(Job, pk),) for pk in ids))
        model_admin.message_user(request, format_html(text, links), level)
        return True

    def _page(
        self,
        model_admin: admin.ModelAdmin[Any],
        request: HttpRequest,
        queryset: QuerySet[Any],
        form: ExportForm,
        scopes: list[Named],
    ) -> TemplateResponse:
        across = request.POST.get("select_across", "0") != "0"
        return TemplateResponse(
            request,
            "admin/exchange/export.html",
            {
                **model_admin.admin_site.each_context(request),
                "title": "Export",
                "opts": model_admin.opts,
                "media": model_admin.media,
                "adminform": AdminForm(form, [("Options", {"fields": list(form.fields)})], {}),  # type: ignore[arg-type]
                "scopes": [name for name, _ in scopes[:SHOWN]],
                "more": max(0, len(scopes) - SHOWN),
                "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
                "action_checkbox_name": ACTION_CHECKBOX_NAME,
                "action_name": self.__name__,
                "select_across": int(across),
                "confirm": CONFIRM,
                "key_name": KEY,
                "key": storable_text(request.POST.get(KEY, ""))[:KEY_LENGTH] or uuid4().hex,
            },
        )


def _of_each(limit: str, noun: str) -> Callable[[QuerySet[Any]], list[Named]]:
    """One scope for each row, which limits its project; without a limit, the project itself."""

    def scopes(queryset: QuerySet[Any]) -> list[Named]:
        rows = list(queryset.order_by("pk")[: MOST_FILES + 1])
        if len(rows) > MOST_FILES:
            raise ExportError(
                f"More than {MOST_FILES} {noun}s are selected. Each gets a file of its own: select "
                "fewer, or export their project."
            )
        orphans = [str(row.pk) for row in rows if limit and row.project_id is None]
        if orphans:
            raise ExportError(f"These {noun}s have no project: {', '.join(orphans)}.")
        return [
            (
                f"{noun} {row}",
                Scope(row.project_id, **{limit: row.pk}) if limit else Scope(row.pk),
            )
            for row in rows
        ]

    return scopes


def _of_occurrences(queryset: QuerySet[Occurrence]) -> list[Named]:
    """One scope for the occurrences of each project."""
    pairs = list(queryset.order_by("pk").values_list("project_id", "pk")[: MOST_OCCURRENCES + 1])
    if len(pairs) > MOST_OCCURRENCES:
        raise ExportError(
            f"More than {MOST_OCCURRENCES:,} occurrences are selected. Filter the list, or export "
            "their project."
        )
    chosen: dict[int, set[int]] = {}
    for project_id, pk in pairs:
        if project_id is None:
            raise ExportError(f"Occurrence {pk} has no project, and cannot be exported.")
        chosen.setdefault(project_id, set()).add(pk)
    names = dict(Project.objects.filter(pk__in=chosen).values_list("pk", "name"))
    return [
        (
            f"{counted(len(ids), 'occurrence')} of {names[project_id]}",
            Scope(project_id, occurrence_ids=frozenset(ids)),
        )
        for project_id, ids in chosen.items()
    ]


EXPORTED: dict[type[Model], Callable[[QuerySet[Any]], list[Named]]] = {
    Project: _of_each("", "project"),
    SourceImageCollection: _of_each("collection_id", "capture set"),
    Event: _of_each("event_id", "night"),
    Occurrence: _of_occurrences,
}

for model, scopes_of in EXPORTED.items():
    ACTIONS.setdefault(model, []).append(ExportAction(scopes_of))
