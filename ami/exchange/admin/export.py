"""The list of exports, and their files."""

from typing import Any

from django.contrib import admin
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ami.base.admin import LargeTableAdmin, own_paths
from ami.base.ids import parse_id
from ami.base.links import EMPTY, change_link
from ami.base.next_steps import NextStep
from ami.exchange.admin.formats import ExportFormatFilter, format_name
from ami.exchange.export.registry import FORMATS
from ami.exchange.models import Export
from ami.jobs.models import Job
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin
from ami.main.admin.pictures import serve
from ami.main.pictures import PictureError, StoredPicture

CSV = "text/csv; charset=utf-8"


@admin.register(Export)
class ExportAdmin(AutocompleteFilterMixin, LargeTableAdmin[Export]):
    """The files that Jobs have written, until they expire. They are made elsewhere."""

    next_step = NextStep(
        "Select rows in a list, such as that of {}, and choose “Export…” from the list of actions.",
        "projects",
        "main.Project",
    )
    list_display = ("id", "file", "format", "project", "job_link", "created_at", "expires_at")
    list_filter = (("project", AutocompleteFilter), ExportFormatFilter)
    list_select_related = ("project",)
    deferred = ("occurrence_ids",)
    fields = (
        "file",
        "format",
        "project",
        "job_link",
        "listed_problems",
        "created_at",
        "expires_at",
    )
    readonly_fields = fields
    search_fields = ("path",)
    search_help_text = "Search by id or name of the file."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        views = {
            "<path:object_id>/file/": self.file_view,
            "<path:object_id>/problems/": self.problems_view,
        }
        return [*own_paths(self, views), *super().get_urls()]

    def file_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The file, for those who may see the export. Raises Http404, also after it expired."""
        export = self._available(request, object_id)
        return _download(request, export.path, FORMATS[export.form].media_type)

    def problems_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The list of all rows that the format does not carry. Raises Http404."""
        return _download(request, self._available(request, object_id).problems_path, CSV)

    def _available(self, request: HttpRequest, object_id: str) -> Export:
        pk = parse_id(object_id)
        export = self.get_queryset(request).filter(pk=pk).first() if pk else None
        if export is None or not self.has_view_permission(request, export):
            raise Http404(f"There is no export {object_id}.")
        if not export.is_available:
            raise Http404("The file of this export is not complete, or it has expired.")
        return export

    @admin.display(description="file")
    def file(self, obj: Export) -> SafeString:
        return file_link(obj)

    @admin.display(description="format", ordering="form")
    def format(self, obj: Export) -> str:
        return format_name(obj.form)

    @admin.display(description="job")
    def job_link(self, obj: Export) -> str:
        return change_link(Job, obj.job_id)

    @admin.display(description="what the format does not carry")
    def listed_problems(self, obj: Export) -> SafeString:
        return problems_of(obj)


def file_link(export: Export) -> SafeString:
    """A link to the file with its size; a dash if there is none, or no longer."""
    if not export.is_available:
        return EMPTY
    url = reverse("admin:exchange_export_file", args=[export.pk])
    return format_html(
        '<a href="{}" download>{}</a> ({})', url, export, filesizeformat(export.size or 0)
    )


def problems_of(export: Export) -> SafeString:
    """The problems in sentences, with a link to the list of all rows."""
    if not export.problems:
        return EMPTY
    told = format_html_join("", "<div>{}</div>", ((one,) for one in export.problems))
    if not export.is_available:
        return told
    url = reverse("admin:exchange_export_problems", args=[export.pk])
    return format_html('{}<a href="{}" download>List of all rows</a>', told, url)


def _download(request: HttpRequest, stored: str, media_type: str) -> HttpResponseBase:
    """Answer with the file as pictures are served. Raises Http404 if it is gone."""
    if not default_storage.exists(stored):
        raise Http404("The file no longer exists.")
    try:
        response = serve(request, StoredPicture(default_storage, stored, media_type))
    except PictureError as gone:
        raise Http404(str(gone)) from gone
    name = stored.rpartition("/")[2]
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
