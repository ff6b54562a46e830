from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.links import change_link, count_link, list_url
from ami.base.next_steps import IMPORT
from ami.base.subqueries import count_subquery
from ami.base.words import counted
from ami.main.admin.filters import (
    AutocompleteFilter,
    AutocompleteFilterMixin,
    IdFilter,
    NumberRangeFilter,
)
from ami.main.admin.history import (
    CropColumnMixin,
    DetailsMixin,
    JobsHistoryMixin,
    crops,
    first_detection,
    format_score,
    identifications,
)
from ami.main.admin.identify import CHANGE, IDENTIFY, IdentifyMixin
from ami.main.admin.lineage import read_lineages
from ami.main.admin.neighbours import FILTERS, neighbours
from ami.main.admin.occurrence_filters import (
    AlgorithmFilter,
    IdentifiedFilter,
    NightFilter,
    RunFilter,
    TaxaListFilter,
)
from ami.main.admin.search import TaxonSearchMixin
from ami.main.admin.why import reasons_of, why
from ami.main.models import Classification, Detection, Occurrence, Taxon
from ami.ml.post_processing.admin import PostProcessingActionsMixin

OPENED = 3  # lineages that are all open
RECOMPUTE_LIMIT = 10_000


@admin.register(Occurrence)
class OccurrenceAdmin(
    TaxonSearchMixin,
    PostProcessingActionsMixin,
    IdentifyMixin,
    CropColumnMixin,
    DetailsMixin,
    JobsHistoryMixin,
    AutocompleteFilterMixin,
    LargeTableAdmin[Occurrence],
):
    named_by = "determination"
    annotations = {
        "detections_count": count_subquery(Detection.objects.all(), "occurrence"),
        "first_pk": first_detection("pk"),
    }
    next_step = IMPORT
    list_display = (
        "id",
        "crop",
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
        AlgorithmFilter,
        TaxaListFilter,
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
        changes = self.recompute(request, ids)
        taxa = sum(change.taxon_changed for change in changes)
        self.message_user(
            request,
            f"Checked {counted(len(ids), 'occurrence')}: "
            f"{taxa:,} changed in taxon, {len(changes) - taxa:,} only in score.",
            messages.SUCCESS,
        )

    def get_details(self, request: HttpRequest, obj: Occurrence) -> dict[str, Any]:
        user = request.user
        reasons = reasons_of(obj, user=user)
        best = reasons.best
        shown = crops(
            obj.detections.all(),
            best=best.detection_id if best else None,
            occurrence__id__exact=obj.pk,
        )
        ids = [crop["pk"] for crop in shown["rows"]]
        lineages = read_lineages(
            Classification.objects.filter(detection__in=ids),
            user=user,
            best=best.pk if best else None,
            mark="best" if reasons.person else "decides",
        )
        for crop in shown["rows"]:
            crop["steps"] = lineages.of.get(crop["pk"], [])
            crop["is_open"] = crop["is_best"] or len(ids) <= OPENED
        kept = request.GET.get(FILTERS)
        return {
            "why": why(reasons),
            "is_stale": (obj.determination_id, obj.determination_score) != reasons.result,
            "crops": shown,
            "more_steps": lineages.more,
            "all_classifications": list_url(
                Classification, detection__occurrence__id__exact=obj.pk
            ),
            "identifications": identifications(
                obj.identifications.all(), user=user, occurrence__id__exact=obj.pk
            ),
            "candidates": sorted(
                {
                    step.row.taxon.name
                    for steps in lineages.of.values()
                    for step in steps
                    if step.row.taxon
                }
            ),
            "may_identify": user.has_perm(IDENTIFY, obj),
            "may_recompute": user.has_perm(CHANGE, obj),
            "neighbours": neighbours(self, request, obj),
            "kept": f"?{urlencode({FILTERS: kept})}" if kept else "",
        }
