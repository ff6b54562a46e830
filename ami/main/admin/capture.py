from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.links import count_link, list_url
from ami.base.next_steps import IMPORT
from ami.base.subqueries import count_subquery
from ami.main import pictures
from ami.main.admin.determinations import RedetermineOnDeleteMixin
from ami.main.admin.filters import (
    AutocompleteFilter,
    AutocompleteFilterMixin,
    DateRangeFilter,
    IdFilter,
)
from ami.main.admin.frames import BY_STATE, captures_beside, frame_of
from ami.main.admin.history import DetailsMixin
from ami.main.admin.pictures import PictureMixin
from ami.main.admin.search import PathSearchMixin
from ami.main.models import Detection, SourceImage
from ami.main.pictures import StoredPicture


@admin.register(SourceImage)
class SourceImageAdmin(
    PathSearchMixin,
    PictureMixin,
    RedetermineOnDeleteMixin,
    DetailsMixin,
    AutocompleteFilterMixin,
    LargeTableAdmin[SourceImage],
):
    occurrence_lookup = "detections__source_image"
    annotations = {"detections_now": count_subquery(Detection.objects.all(), "source_image")}
    next_step = IMPORT
    list_display = (
        "id",
        "path",
        "project",
        "deployment",
        "event",
        "timestamp",
        "size",
        "detections_link",
    )
    list_filter = (
        ("project", AutocompleteFilter),
        ("deployment", AutocompleteFilter),
        ("event", IdFilter),
        ("collections", IdFilter),
        ("timestamp", DateRangeFilter),
    )
    list_select_related = ("project", "deployment", "event")
    list_only = (
        "path",
        "timestamp",
        "width",
        "height",
        "project__name",
        "deployment__name",
        "event__group_by",
    )
    autocomplete_fields = ("project", "deployment")
    raw_id_fields = ("event",)
    readonly_fields = ("detections_link", "created_at", "updated_at")

    def picture_rows(self) -> QuerySet[SourceImage]:
        return SourceImage.objects.select_related("deployment").only("path", "deployment__storage")

    def picture(self, row: SourceImage, size: int | None) -> StoredPicture:
        return pictures.frame(row, size)

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(pk__any_of=self.find_captures(request, queryset, term))

    @admin.display(description="pixels")
    def size(self, obj: SourceImage) -> str | None:
        return f"{obj.width} x {obj.height}" if obj.width and obj.height else None

    @admin.display(description="detections")
    def detections_link(self, obj: Any) -> str:
        return count_link(
            Detection, getattr(obj, "detections_now", 0), source_image__id__exact=obj.pk
        )

    def get_details(self, request: HttpRequest, obj: SourceImage) -> dict[str, Any]:
        colour = request.GET.get("colour", "")
        return {
            "frame": frame_of(obj, obj.detections.all(), colour=colour),
            "by_state": colour == BY_STATE,
            "neighbours": captures_beside(obj),
            "all_url": list_url(Detection, source_image__id__exact=obj.pk),
        }
