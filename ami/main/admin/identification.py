from django.contrib import admin

from ami.base.admin import LargeTableAdmin
from ami.base.links import change_link
from ami.main.admin.determinations import RedetermineOnDeleteMixin
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin, IdFilter
from ami.main.models import Identification, Occurrence


@admin.register(Identification)
class IdentificationAdmin(
    RedetermineOnDeleteMixin, AutocompleteFilterMixin, LargeTableAdmin[Identification]
):
    occurrence_lookup = "identifications"
    list_display = ("id", "taxon", "user", "occurrence_link", "withdrawn", "created_at")
    list_filter = (
        "withdrawn",
        ("taxon", AutocompleteFilter),
        ("user", AutocompleteFilter),
        ("occurrence", IdFilter),
    )
    list_select_related = ("taxon", "user")
    list_only = (
        "withdrawn",
        "created_at",
        "occurrence_id",
        "taxon__name",
        "user__email",
        "user__name",
    )
    autocomplete_fields = ("user", "taxon")
    raw_id_fields = ("occurrence",)

    @admin.display(description="occurrence")
    def occurrence_link(self, obj: Identification) -> str:
        return change_link(Occurrence, obj.occurrence_id, obj.occurrence_id)
