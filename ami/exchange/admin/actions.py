"""The action “Export…”: a page that asks for the format, then one Job per selected row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from ami.base.actions import ACTIONS
from ami.base.admin import page_context
from ami.base.words import counted
from ami.exchange.admin.export_page import CONFIRM, ExportForm, Named, page, queue
from ami.exchange.export.registry import ExportError
from ami.exchange.export.scope import Scope
from ami.exchange.work import EXPORT
from ami.main.models import Event, Occurrence, Project, SourceImageCollection

MOST_FILES = 20
MOST_OCCURRENCES = 100_000


@dataclass(frozen=True)
class ExportAction:
    """Exports the selected rows of a model; `scopes` returns what each file takes.

    It raises ExportError if too many rows are selected.
    """

    scopes: Callable[[QuerySet[Any]], list[Named]]
    permission: str = EXPORT
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
        if is_confirmed and queue(request, form, scopes):
            return None
        across = request.POST.get("select_across", "0") != "0"
        return page(
            request,
            form,
            scopes,
            **page_context(model_admin, request, title="Export"),
            selected=request.POST.getlist(ACTION_CHECKBOX_NAME),
            action_checkbox_name=ACTION_CHECKBOX_NAME,
            action_name=self.__name__,
            select_across=int(across),
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
