from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.links import change_link
from ami.main.admin.determinations import RedetermineOnDeleteMixin
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin, IdFilter
from ami.main.models import Identification, Occurrence

CHOOSE_USER = "users.view_user"


class IdentificationForm(forms.ModelForm[Identification]):
    def clean_occurrence(self) -> Occurrence:
        """Lock the occurrence until this is saved, because a run may merge it into another.

        Rows are locked in the same order as in a run, to avoid deadlocks.
        """
        chosen: Occurrence = self.cleaned_data["occurrence"]
        held = {chosen.pk, self.instance.occurrence_id}
        list(Identification.objects.select_for_update().filter(pk=self.instance.pk))
        rows = Occurrence.objects.select_for_update(no_key=True).filter(pk__in=held)
        if chosen not in list(rows.order_by("pk")):
            raise forms.ValidationError(
                f"{chosen} was deleted or merged into another occurrence; choose another one."
            )
        return chosen


@admin.register(Identification)
class IdentificationAdmin(
    RedetermineOnDeleteMixin, AutocompleteFilterMixin, LargeTableAdmin[Identification]
):
    form = IdentificationForm
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

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """People who may not choose among the users identify in their own name."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.has_perm(CHOOSE_USER) else (*fields, "user")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change and not request.user.has_perm(CHOOSE_USER):
            obj.user = request.user
        super().save_model(request, obj, form, change)

    @admin.display(description="occurrence")
    def occurrence_link(self, obj: Identification) -> str:
        return change_link(Occurrence, obj.occurrence_id, obj.occurrence_id)
