from datetime import date
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import Truncator

from ami.base.admin import LargeTableAdmin
from ami.base.audit import Kind
from ami.base.next_steps import NextStep
from ami.integrity.models import IntegrityAcknowledgement
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin
from ami.main.checks.declarations import CHECKS, chosen_checks

REASON_SHOWN = 100


class AcknowledgementForm(forms.ModelForm[IntegrityAcknowledgement]):
    key = forms.ChoiceField(
        label="Check", choices=lambda: [(check.key, check.title) for check in chosen_checks()]
    )

    def clean_expires_on(self) -> date:
        day: date = self.cleaned_data["expires_on"]
        if "expires_on" in self.changed_data and day < timezone.localdate():
            raise forms.ValidationError("Enter a date that is not in the past.")
        return day


@admin.register(IntegrityAcknowledgement)
class IntegrityAcknowledgementAdmin(
    AutocompleteFilterMixin, LargeTableAdmin[IntegrityAcknowledgement]
):
    """Known findings, which are counted but do not fail until they expire."""

    form = AcknowledgementForm
    audit_kind = Kind.ACKNOWLEDGE

    class Media:
        css = {"all": ["integrity/integrity.css"]}

    fields = ("key", "project", "reason", "expires_on", "user", "created_at", "updated_at")
    readonly_fields = ("user", "created_at", "updated_at")
    next_step = NextStep(
        "Findings are acknowledged on the page of the run that found them; see the {}.",
        "integrity runs",
        "integrity.IntegrityRun",
    )
    list_display = ("check_title", "project", "why", "holds", "user")
    list_filter = (("project", AutocompleteFilter),)
    list_select_related = ("project", "user")
    autocomplete_fields = ("project",)
    search_fields = ("key", "reason")
    search_help_text = "Search by id, check or reason."
    sortable_by = ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, and store the user who added the acknowledgement."""
        if not change:
            obj.user = request.user
        super().save_model(request, obj, form, change)

    @admin.display(description="check")
    def check_title(self, obj: IntegrityAcknowledgement) -> str:
        return title_of(obj.key)

    @admin.display(description="reason")
    def why(self, obj: IntegrityAcknowledgement) -> str:
        return Truncator(obj.reason).chars(REASON_SHOWN)

    @admin.display(description="valid")
    def holds(self, obj: IntegrityAcknowledgement) -> str:
        if obj.expires_on < timezone.localdate():
            return f"Expired on {obj.expires_on}"
        return f"Until {obj.expires_on}"


def title_of(key: str) -> str:
    """Return the title of a check, or its key if the check no longer exists."""
    return CHECKS[key].title if key in CHECKS else key
