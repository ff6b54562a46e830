from typing import Any

from django import forms
from django.contrib import admin

from ami.base.admin import LargeTableAdmin
from ami.base.links import change_link, rows_link
from ami.base.next_steps import IMPORT
from ami.base.subqueries import cardinality
from ami.main.models import Occurrence
from ami.ml.models import Algorithm, AlgorithmCategoryMap

LONGEST_LABEL = 255


class AlgorithmCategoryMapForm(forms.ModelForm[AlgorithmCategoryMap]):
    class Meta:
        error_messages = {
            "data": {
                "kind": 'Give a list of classes, such as [{"index": 0, "label": "Actias luna"}].'
            }
        }

    def clean_data(self) -> list[dict[str, Any]]:
        data: list[Any] = self.cleaned_data["data"]
        for place, entry in enumerate(data):
            if not _is_class(entry):
                raise forms.ValidationError(
                    f'Entry {place} needs a whole number "index" and a text "label".'
                )
            if len(entry["label"]) > LONGEST_LABEL:
                raise forms.ValidationError(
                    f"The label of entry {place} has {len(entry['label']):,} characters; at most "
                    f"{LONGEST_LABEL} can be stored."
                )
        if sorted(entry["index"] for entry in data) != list(range(len(data))):
            raise forms.ValidationError(
                f"The indexes must be 0 to {len(data) - 1}, each exactly once."
            )
        return data


def _is_class(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and type(entry.get("index")) is int
        and isinstance(entry.get("label"), str)
    )


@admin.register(AlgorithmCategoryMap)
class AlgorithmCategoryMapAdmin(LargeTableAdmin[AlgorithmCategoryMap]):
    form = AlgorithmCategoryMapForm
    annotations = {"classes_count": cardinality("labels")}
    deferred = ("data", "labels")
    next_step = IMPORT
    list_display = ("id", "version", "description", "classes", "created_at")
    list_only = ("version", "description", "created_at")
    search_fields = ("version", "description")
    search_help_text = "Search by id, version or description."
    readonly_fields = ("classes", "created_at", "updated_at")

    @admin.display(description="classes")
    def classes(self, obj: Any) -> int:
        return getattr(obj, "classes_count", 0)


@admin.register(Algorithm)
class AlgorithmAdmin(LargeTableAdmin[Algorithm]):
    next_step = IMPORT
    list_display = (
        "name",
        "version",
        "id",
        "key",
        "task_type",
        "category_map_link",
        "occurrences_link",
    )
    list_filter = ("task_type",)
    list_only = ("name", "version", "key", "task_type", "category_map_id")
    search_fields = ("name", "key")
    search_help_text = "Search by id, name or key."
    sortable_by = ("id", "name")
    autocomplete_fields = ("category_map",)
    readonly_fields = ("occurrences_link", "created_at", "updated_at")

    @admin.display(description="category map")
    def category_map_link(self, obj: Algorithm) -> str:
        return change_link(AlgorithmCategoryMap, obj.category_map_id)

    @admin.display(description="occurrences")
    def occurrences_link(self, obj: Algorithm) -> str:
        return rows_link(Occurrence, algorithm=obj.pk)
