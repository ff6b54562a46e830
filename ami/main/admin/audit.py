from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern
from django.utils import timezone
from django.utils.html import format_html

from ami.base.admin import LargeTableAdmin, ReadOnlyAdminMixin, own_paths
from ami.base.downloads import LINES_AT_ONCE, csv_response
from ami.base.links import change_link
from ami.base.next_steps import NextStep
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin, DateRangeFilter
from ami.main.models import AuditNote, Project

COLUMNS = {
    "time": "created_at",
    "user": "entry__user__email",
    "kind": "kind",
    "app": "entry__content_type__app_label",
    "type": "entry__content_type__model",
    "id": "entry__object_id",
    "row": "entry__object_repr",
    "what": "entry__change_message",
    "reason": "reason",
    "project id": "project_id",
}


@admin.register(AuditNote)
class AuditNoteAdmin(ReadOnlyAdminMixin, AutocompleteFilterMixin, LargeTableAdmin[AuditNote]):
    """Who did what and why: read-only, for managers and superusers."""

    next_step = NextStep("What people do with runs, repairs and identifications is listed here.")
    list_display = ("time", "user", "kind", "row", "what", "project_link")
    list_filter = (
        ("entry__user", AutocompleteFilter),
        ("project", AutocompleteFilter),
        "kind",
        ("created_at", DateRangeFilter),
    )
    list_select_related = ("entry__user", "entry__content_type", "project")
    list_display_links = None
    actions = None
    search_fields = ()
    sortable_by = ()
    ordering = ("-created_at", "-entry_id")
    readonly_fields = ()

    def get_urls(self) -> list[URLPattern]:
        return [*own_paths(self, {"csv/": self.csv_view}), *super().get_urls()]

    def csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """Every entry that the filters of the list find, as CSV, streamed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            notes = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"../?{ERROR_FLAG}=1")  # as the list does
        rows = notes.values_list(*COLUMNS.values()).iterator(chunk_size=LINES_AT_ONCE)
        return csv_response(COLUMNS, map(_line, rows), name="audit.csv")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Audit entries", **(extra_context or {})})

    @admin.display(description="time")
    def time(self, note: AuditNote) -> str:
        return f"{timezone.localtime(note.created_at):%Y-%m-%d %H:%M:%S}"

    @admin.display(description="user")
    def user(self, note: AuditNote) -> str:
        return str(note.entry.user)

    @admin.display(description="row")
    def row(self, note: AuditNote) -> str:
        entry = note.entry
        model = entry.content_type and entry.content_type.model_class()
        if model is None or entry.is_deletion():
            return str(entry.object_repr)
        return change_link(model, entry.object_id, entry.object_repr)

    @admin.display(description="what, and the reason")
    def what(self, note: AuditNote) -> str:
        message = note.entry.get_change_message()
        return format_html("{}<br>{}", message, note.reason) if note.reason else message

    @admin.display(description="project")
    def project_link(self, note: AuditNote) -> str:
        if note.project_id is not None and note.project is None:
            return f"Project {note.project_id}, deleted"
        return change_link(Project, note.project_id, note.project)


def _line(columns: tuple[Any, ...]) -> list[Any]:
    """The columns, with the message of a form as a sentence."""
    line = dict(zip(COLUMNS, columns, strict=True))
    line["time"] = line["time"].isoformat()
    line["what"] = LogEntry(change_message=line["what"]).get_change_message()
    return [*line.values()]
