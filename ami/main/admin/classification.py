from typing import Any, NamedTuple

from django import forms
from django.contrib import admin
from django.db import connection
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.links import EMPTY, change_link, count_link
from ami.base.subqueries import cardinality
from ami.jobs.models import Job
from ami.main.admin.determinations import RedetermineMixin
from ami.main.admin.filters import (
    AutocompleteFilter,
    AutocompleteFilterMixin,
    DateRangeFilter,
    IdFilter,
    NumberRangeFilter,
)
from ami.main.admin.history import DetailsMixin, format_score
from ami.main.admin.search import TaxonSearchMixin
from ami.main.models import Classification, Detection, Occurrence

TOP = 5
# The arrays are unnested in PostgreSQL, so that only the highest numbers are transferred.
TOP_SCORES = """
SELECT labels[place] AS label, number
FROM main_classification c
LEFT JOIN ml_algorithmcategorymap m ON m.id = c.category_map_id,
     unnest(COALESCE(c.scores, c.logits)) WITH ORDINALITY AS ranked (number, place)
WHERE c.id = %s
ORDER BY number DESC NULLS LAST, place
LIMIT %s
"""


class Score(NamedTuple):
    label: str | None
    number: float | None


def top_scores(classification_id: int) -> list[Score]:
    """Return the highest scores with their labels, or the highest logits if there are no scores."""
    with connection.cursor() as cursor:
        cursor.execute(TOP_SCORES, [classification_id, TOP])
        return [Score(*row) for row in cursor.fetchall()]


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
    list_display = (
        "id",
        "taxon",
        "rounded_score",
        "terminal",
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
        "metadata",
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

    def get_fields(self, request: HttpRequest, obj: Classification | None = None) -> Any:
        """The run can be set only when a row is added; afterwards it is read-only."""
        return (*self.editable, "job") if obj is None else (*self.editable, *self.readonly_fields)

    @admin.display(description="score")
    def rounded_score(self, obj: Classification) -> str:
        return format_score(obj.score)

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

    def get_details(self, obj: Classification) -> dict[str, Any]:
        return {"top_scores": top_scores(obj.pk)}
