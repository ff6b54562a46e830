from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.links import EMPTY, change_link, count_link, list_url
from ami.base.next_steps import IMPORT
from ami.base.subqueries import cardinality, count_subquery
from ami.main import pictures
from ami.main.admin.areas import histogram, relative_area
from ami.main.admin.determinations import RedetermineMixin
from ami.main.admin.filters import (
    AutocompleteFilter,
    AutocompleteFilterMixin,
    DateRangeFilter,
    IdFilter,
    NumberRangeFilter,
)
from ami.main.admin.frames import frame_of
from ami.main.admin.history import CropColumnMixin, DetailsMixin, format_box, format_score
from ami.main.admin.lineage import read_lineages, with_classes
from ami.main.admin.pictures import PictureMixin
from ami.main.admin.search import PathSearchMixin
from ami.main.models import Classification, Detection, Occurrence, SourceImage
from ami.main.pictures import MEDIUM, StoredPicture, crop_url


class DetectionForm(forms.ModelForm[Detection]):
    def clean_bbox(self) -> list[float] | None:
        box: list[float] = self.cleaned_data["bbox"]
        if not box:
            return None
        if len(box) != 4:
            raise forms.ValidationError(f"Enter four numbers, x1, y1, x2, y2; got {len(box)}.")
        x1, y1, x2, y2 = box
        if not (x1 < x2 and y1 < y2):
            raise forms.ValidationError(
                f"x1 must be below x2 and y1 below y2; got {format_box(box)}."
            )
        return box


@admin.register(Detection)
class DetectionAdmin(
    PathSearchMixin,
    PictureMixin,
    RedetermineMixin,
    CropColumnMixin,
    DetailsMixin,
    AutocompleteFilterMixin,
    LargeTableAdmin[Detection],
):
    """A search by path sorts by capture, so that an index finds the first page."""

    form = DetectionForm
    occurrence_lookup = "detections"
    annotations = {
        "classifications_count": count_subquery(Classification.objects.all(), "detection"),
        "vector_length": cardinality("similarity_vector"),
    }
    deferred = ("similarity_vector",)
    next_step = IMPORT
    list_display = (
        "id",
        "crop",
        "box",
        "occurrence_link",
        "capture_link",
        "classifications_link",
        "score",
        "vector",
        "timestamp",
    )
    list_filter = (
        ("source_image__deployment__project", AutocompleteFilter),
        ("source_image__deployment", AutocompleteFilter),
        ("source_image__event", IdFilter),
        ("occurrence", IdFilter),
        ("source_image", IdFilter),
        ("detection_score", NumberRangeFilter),
        ("timestamp", DateRangeFilter),
    )
    list_only = ("bbox", "occurrence_id", "source_image_id", "detection_score", "timestamp")
    fields = (
        "source_image",
        "bbox",
        "occurrence",
        "path",
        "timestamp",
        "detection_algorithm",
        "detection_score",
        "vector",
        "next_detection",
        "link_cost",
        "classifications_link",
        "created_at",
        "updated_at",
    )
    raw_id_fields = ("source_image", "occurrence", "next_detection")
    autocomplete_fields = ("detection_algorithm",)
    readonly_fields = ("vector", "classifications_link", "created_at", "updated_at")

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        captures = self.find_captures(request, SourceImage.objects.all(), term)
        found = queryset.filter(source_image__any_of=captures)
        return found.order_by("-source_image_id", "-pk")

    @admin.display(description="score")
    def score(self, obj: Detection) -> str:
        return format_score(obj.detection_score)

    @admin.display(description="box")
    def box(self, obj: Detection) -> str:
        return format_box(obj.bbox)

    @admin.display(description="occurrence")
    def occurrence_link(self, obj: Detection) -> str:
        return change_link(Occurrence, obj.occurrence_id, obj.occurrence_id)

    @admin.display(description="capture")
    def capture_link(self, obj: Detection) -> str:
        return change_link(SourceImage, obj.source_image_id, obj.source_image_id)

    @admin.display(description="classifications")
    def classifications_link(self, obj: Any) -> str:
        return count_link(
            Classification, getattr(obj, "classifications_count", 0), detection__id__exact=obj.pk
        )

    @admin.display(description="feature vector")
    def vector(self, obj: Any) -> str:
        length = getattr(obj, "vector_length", None)
        return f"{length:,} numbers" if length else EMPTY

    def picture_rows(self) -> QuerySet[Detection]:
        return Detection.objects.select_related("source_image__deployment").only(
            "path",
            "bbox",
            "source_image__path",
            "source_image__width",
            "source_image__height",
            "source_image__deployment__storage",
        )

    def picture(self, row: Detection, size: int | None) -> StoredPicture:
        return pictures.crop(row, size)

    def crop_of(self, obj: Detection) -> int:
        return obj.pk

    def get_details(self, request: HttpRequest, obj: Detection) -> dict[str, Any]:
        lineages = read_lineages(obj.classifications.all(), user=request.user)
        area = relative_area(obj)
        return {
            "crop": {"url": crop_url(obj.pk, MEDIUM), "box": format_box(obj.bbox)},
            "frame": frame_of(obj.source_image, Detection.objects.filter(pk=obj.pk)),
            "capture": change_link(SourceImage, obj.source_image_id),
            "occurrence": change_link(Occurrence, obj.occurrence_id),
            "area": area and f"{area:.3%}",
            "histogram": area and histogram(obj, area),
            "steps": with_classes(lineages.of.get(obj.pk, [])),
            "more_steps": lineages.more,
            "all_classifications": list_url(Classification, detection__id__exact=obj.pk),
        }
