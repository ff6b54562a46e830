from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.audit import Kind, record
from ami.base.links import change_link
from ami.base.lists import icon
from ami.base.next_steps import NextStep
from ami.main.admin.determinations import RedetermineOnDeleteMixin
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin, IdFilter
from ami.main.admin.history import CropColumnMixin, first_detection
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
    RedetermineOnDeleteMixin,
    CropColumnMixin,
    AutocompleteFilterMixin,
    LargeTableAdmin[Identification],
):
    form = IdentificationForm
    occurrence_lookup = "identifications"
    annotations = {"first_pk": first_detection("occurrence")}
    next_step = NextStep("Identify some of the {}.", "occurrences", "main.Occurrence")
    list_display = (
        "id",
        "crop",
        "taxon",
        "user",
        "occurrence_link",
        "withdrawn_icon",
        "created_at",
    )
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
    # How an answer came about is recorded, and never edited.
    readonly_fields = (
        "agreed_with_prediction_id",
        "agreed_with_identification_id",
        "blind",
        "sample",
        "seconds",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only holders of `CHOOSE_USER` choose the person; others identify in their own name."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.has_perm(CHOOSE_USER, obj) else (*fields, "user")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only holders of `CHOOSE_USER` change what another person has said."""
        is_own = obj is None or obj.user_id in {None, request.user.pk}
        may_choose = is_own or request.user.has_perm(CHOOSE_USER, obj)
        return may_choose and super().has_change_permission(request, obj)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"user": request.user.pk, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change and (obj.user is None or not request.user.has_perm(CHOOSE_USER, obj)):
            obj.user = request.user
        super().save_model(request, obj, form, change)
        verb = "Changed the identification" if change else "Identified"
        record(
            [obj.occurrence],
            kind=Kind.IDENTIFY,
            user=request.user,
            message=f"{verb} as {obj.taxon or 'unknown'}{', withdrawn' if obj.withdrawn else ''}.",
            reason=obj.comment,
        )

    @admin.display(description="withdrawn")
    def withdrawn_icon(self, obj: Identification) -> str:
        return icon(obj.withdrawn)

    @admin.display(description="occurrence")
    def occurrence_link(self, obj: Identification) -> str:
        return change_link(Occurrence, obj.occurrence_id, obj.occurrence_id)
