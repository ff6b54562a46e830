from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.links import change_link, count_link
from ami.base.subqueries import count_subquery
from ami.base.words import counted
from ami.main.admin.filters import (
    AutocompleteFilter,
    AutocompleteFilterMixin,
    IdentifiedFilter,
    IdFilter,
    NightFilter,
    NumberRangeFilter,
    RunFilter,
)
from ami.main.admin.history import DetailsMixin, crops, format_score, identifications, predictions
from ami.main.admin.search import TaxonSearchMixin
from ami.main.determinations import update_determinations
from ami.main.models import Classification, Detection, Occurrence, Taxon
from ami.ml.post_processing.admin import PostProcessingActionsMixin

RECOMPUTE_LIMIT = 10_000
BATCH = 1_000


@admin.register(Occurrence)
class OccurrenceAdmin(
    TaxonSearchMixin,
    PostProcessingActionsMixin,
    DetailsMixin,
    AutocompleteFilterMixin,
    LargeTableAdmin[Occurrence],
):
    named_by = "determination"
    annotations = {"detections_count": count_subquery(Detection.objects.all(), "occurrence")}
    list_display = (
        "id",
        "determination",
        "score",
        "detections_link",
        "project",
        "deployment",
        "event",
        "updated_at",
    )
    list_filter = (
        ("determination", AutocompleteFilter),
        ("project", AutocompleteFilter),
        ("deployment", AutocompleteFilter),
        ("event", IdFilter),
        ("determination_score", NumberRangeFilter),
        NightFilter,
        IdentifiedFilter,
        RunFilter,
    )
    list_select_related = ("determination", "project", "deployment", "event")
    list_only = (
        "determination_score",
        "updated_at",
        "determination__name",
        "project__name",
        "deployment__name",
        "event__group_by",
    )
    actions = ("recompute_determination",)
    fields = (
        "determination_link",
        "score",
        "project",
        "deployment",
        "event",
        "detections_link",
        "created_at",
        "updated_at",
    )
    readonly_fields = (
        "determination_link",
        "score",
        "detections_link",
        "created_at",
        "updated_at",
    )
    autocomplete_fields = ("project", "deployment")
    raw_id_fields = ("event",)

    @admin.display(description="score")
    def score(self, obj: Occurrence) -> str:
        return format_score(obj.determination_score)

    @admin.display(description="determination")
    def determination_link(self, obj: Occurrence) -> str:
        return change_link(Taxon, obj.determination_id, obj.determination)

    @admin.display(description="detections")
    def detections_link(self, obj: Any) -> str:
        return count_link(
            Detection, getattr(obj, "detections_count", 0), occurrence__id__exact=obj.pk
        )

    @admin.action(description="Recompute determination", permissions=["change"])
    def recompute_determination(self, request: HttpRequest, queryset: QuerySet[Occurrence]) -> None:
        """Apply the rule to the selected occurrences, up to `RECOMPUTE_LIMIT`."""
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: RECOMPUTE_LIMIT + 1])
        if len(ids) > RECOMPUTE_LIMIT:
            self.message_user(
                request,
                f"More than {RECOMPUTE_LIMIT:,} occurrences are selected. Filter the list and "
                "select fewer.",
                messages.WARNING,
            )
            return
        changes = [
            change
            for start in range(0, len(ids), BATCH)
            for change in update_determinations(ids[start : start + BATCH])
        ]
        taxa = sum(change.taxon_changed for change in changes)
        self.message_user(
            request,
            f"Checked {counted(len(ids), 'occurrence')}: "
            f"{taxa:,} changed in taxon, {len(changes) - taxa:,} only in score.",
            messages.SUCCESS,
        )

    def get_details(self, obj: Occurrence) -> dict[str, Any]:
        classifications = Classification.objects.filter(detection__occurrence=obj)
        return {
            "crops": crops(obj.detections.all(), occurrence__id__exact=obj.pk),
            "predictions": predictions(classifications, detection__occurrence__id__exact=obj.pk),
            "identifications": identifications(
                obj.identifications.all(), occurrence__id__exact=obj.pk
            ),
        }
