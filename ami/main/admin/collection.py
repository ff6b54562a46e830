from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from ami.base.admin import LargeTableAdmin
from ami.base.audit import Kind, record
from ami.base.deletion import reasons_to_keep
from ami.base.links import count_link
from ami.base.next_steps import NextStep
from ami.base.subqueries import count_subquery
from ami.base.words import counted
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin
from ami.main.admin.history import JobsHistoryMixin
from ami.main.models import SourceImage, SourceImageCollection
from ami.ml.post_processing.admin import PostProcessingActionsMixin


@admin.register(SourceImageCollection)
class SourceImageCollectionAdmin(
    PostProcessingActionsMixin,
    JobsHistoryMixin,
    AutocompleteFilterMixin,
    LargeTableAdmin[SourceImageCollection],
):
    """The page of a set links to its captures, because there can be hundreds of thousands."""

    annotations = {
        "captures_count": count_subquery(
            SourceImageCollection.images.through.objects.all(), "sourceimagecollection"
        )
    }
    next_step = NextStep(
        "{}: methods run on capture sets.",
        "Add a capture set",
        "main.SourceImageCollection",
        adds=True,
    )
    list_display = ("name", "id", "project", "method", "captures_link", "created_at")
    list_filter = (("project", AutocompleteFilter), "method")
    list_select_related = ("project",)
    list_only = ("name", "method", "created_at", "project__name")
    search_fields = ("name",)
    search_help_text = "Search by id or name."
    sortable_by = ("id", "name")
    autocomplete_fields = ("project",)
    exclude = ("images",)
    readonly_fields = ("captures_link", "created_at", "updated_at")
    actions = ("populate",)

    @admin.display(description="captures")
    def captures_link(self, obj: Any) -> str:
        return count_link(
            SourceImage, getattr(obj, "captures_count", 0), collections__id__exact=obj.pk
        )

    @admin.action(description="Select the captures again", permissions=["change"])
    def populate(self, request: HttpRequest, queryset: QuerySet[SourceImageCollection]) -> None:
        for capture_set in queryset:
            if reasons := reasons_to_keep(SourceImageCollection, [capture_set.pk]):
                told = format_html_join(" ", "{}", ((reason,) for reason in reasons))
                text = format_html("{} keeps its captures. {}", capture_set, told)
                self.message_user(request, text, messages.WARNING)
                continue
            try:
                capture_set.populate_sample()
            except ValueError as fault:
                self.message_user(request, str(fault), messages.ERROR)
                continue
            captures = counted(capture_set.images.count(), "capture")
            message = f"Selected {captures} again."
            record([capture_set], kind=Kind.BULK_EDIT, user=request.user, message=message)
            self.message_user(request, f"{capture_set}: {captures}.", messages.SUCCESS)
