from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.links import EMPTY, change_link, count_link, list_url
from ami.base.lists import icon
from ami.base.next_steps import IMPORT
from ami.base.subqueries import cardinality
from ami.jobs.models import Job
from ami.main.admin.classes import compare
from ami.main.admin.determinations import RedetermineMixin
from ami.main.admin.filters import (
    AutocompleteFilter,
    AutocompleteFilterMixin,
    DateRangeFilter,
    IdFilter,
    NumberRangeFilter,
)
from ami.main.admin.history import CropColumnMixin, DetailsMixin, format_box, format_score
from ami.main.admin.identify import CHANGE
from ami.main.admin.lineage import read_lineages
from ami.main.admin.search import TaxonSearchMixin
from ami.main.models import Classification, Detection, Occurrence
from ami.main.pictures import MEDIUM, crop_url


class ClassificationForm(forms.ModelForm[Classification]):
    def clean_applied_to(self) -> Classification | None:
        """Return the chosen one. Refuse one that supersedes this one, directly or indirectly."""
        chosen: Classification | None = self.cleaned_data["applied_to"]
        rows = Classification.objects.values_list("applied_to_id", flat=True)
        seen: set[int] = set()
        step: int | None = chosen.pk if chosen else None
        while step is not None and step not in seen:
            if step == self.instance.pk:
                raise forms.ValidationError(
                    f"{chosen} already supersedes {self.instance}; choose another classification."
                    if chosen != self.instance
                    else "A classification cannot supersede itself; choose another classification."
                )
            seen.add(step)
            step = rows.get(pk=step)
        return chosen


@admin.register(Classification)
class ClassificationAdmin(
    TaxonSearchMixin,
    RedetermineMixin,
    CropColumnMixin,
    DetailsMixin,
    AutocompleteFilterMixin,
    LargeTableAdmin[Classification],
):
    named_by = "taxon"
    form = ClassificationForm
    occurrence_lookup = "detections__classifications"
    annotations = {
        "occurrence_pk": Subquery(
            Detection.objects.filter(pk=OuterRef("detection")).values("occurrence")
        ),
        "scores_number": cardinality("scores"),
        "logits_number": cardinality("logits"),
    }
    deferred = ("scores", "logits")
    next_step = IMPORT
    list_display = (
        "id",
        "crop",
        "taxon",
        "rounded_score",
        "terminal_icon",
        "algorithm",
        "detection_link",
        "occurrence_link",
        "applied_to_link",
        "job_link",
        "scores_length",
        "logits_length",
        "timestamp",
    )
    list_filter = (
        ("taxon", AutocompleteFilter),
        ("algorithm", AutocompleteFilter),
        ("detection__source_image__deployment", AutocompleteFilter),
        ("job", IdFilter),
        ("score", NumberRangeFilter),
        ("timestamp", DateRangeFilter),
        ("detection", IdFilter),
        ("detection__occurrence", IdFilter),
        ("applied_to", IdFilter),
    )
    list_select_related = ("taxon", "algorithm")
    list_only = (
        "score",
        "terminal",
        "timestamp",
        "applied_to_id",
        "job_id",
        "taxon__name",
        "algorithm__name",
        "algorithm__version",
        "detection_id",
    )
    autocomplete_fields = ("detection", "taxon", "algorithm", "category_map", "applied_to")
    raw_id_fields = ("job",)
    editable = (
        "detection",
        "taxon",
        "score",
        "terminal",
        "timestamp",
        "algorithm",
        "category_map",
        "applied_to",
    )
    readonly_fields = (
        "occurrence_link",
        "derived_link",
        "job_link",
        "scores_length",
        "logits_length",
        "created_at",
        "updated_at",
    )

    def get_fieldsets(self, request: HttpRequest, obj: Classification | None = None) -> Any:
        """The run can be set only when a row is added; afterwards it is read-only."""
        if obj is None:
            return [(None, {"fields": (*self.editable, "job", "metadata")})]
        first, rest = self.readonly_fields[:3], self.readonly_fields[3:]
        return [
            (None, {"fields": (*self.editable, *first)}),
            ("Details", {"classes": ("collapse",), "fields": ("metadata", *rest)}),
        ]

    @admin.display(description="score")
    def rounded_score(self, obj: Classification) -> str:
        return format_score(obj.score)

    @admin.display(description="terminal")
    def terminal_icon(self, obj: Classification) -> str:
        return icon(obj.terminal)

    @admin.display(description="detection")
    def detection_link(self, obj: Classification) -> str:
        return change_link(Detection, obj.detection_id, obj.detection_id)

    @admin.display(description="occurrence")
    def occurrence_link(self, obj: Any) -> str:
        pk = getattr(obj, "occurrence_pk", None)
        return change_link(Occurrence, pk, pk)

    @admin.display(description="applied to")
    def applied_to_link(self, obj: Classification) -> str:
        return change_link(Classification, obj.applied_to_id, obj.applied_to_id)

    @admin.display(description="run")
    def job_link(self, obj: Classification) -> str:
        return change_link(Job, obj.job_id, obj.job_id)

    @admin.display(description="superseded by")
    def derived_link(self, obj: Classification) -> str:
        derived = obj.derived_classifications.count()
        return count_link(Classification, derived, applied_to__id__exact=obj.pk)

    @admin.display(description="scores")
    def scores_length(self, obj: Any) -> int | str:
        return getattr(obj, "scores_number", None) or EMPTY

    @admin.display(description="logits")
    def logits_length(self, obj: Any) -> int | str:
        return getattr(obj, "logits_number", None) or EMPTY

    def crop_of(self, obj: Classification) -> int:
        return obj.detection_id

    def get_details(self, request: HttpRequest, obj: Classification) -> dict[str, Any]:
        """The lineage is that of the detection. In it, this classification is marked."""
        detection = (
            Detection.objects.select_related("occurrence__determination")
            .defer("similarity_vector")
            .get(pk=obj.detection_id)
        )
        lineages = read_lineages(detection.classifications.all(), user=request.user)
        steps = lineages.of.get(detection.pk, [])
        occurrence = detection.occurrence
        compared = compare(obj.applied_to_id, obj.pk)
        return {
            "crop": {"url": crop_url(detection.pk, MEDIUM), "box": format_box(detection.bbox)},
            "detection": change_link(Detection, detection.pk),
            "compared": compared,
            "has_before": any(row.before for row in compared),
            "has_after": any(row.after for row in compared),
            "before": obj.applied_to_id and change_link(Classification, obj.applied_to_id),
            "steps": [step._replace(is_own=step.row.pk == obj.pk) for step in steps],
            "more_steps": lineages.more,
            "all_classifications": list_url(Classification, detection__id__exact=detection.pk),
            "occurrence": occurrence,
            "occurrence_name": change_link(Occurrence, detection.occurrence_id),
            "may_recompute": occurrence and request.user.has_perm(CHANGE, occurrence),
        }
