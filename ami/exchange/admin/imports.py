"""The list of imports, and the page of one: what was read, and what became of its rows."""

from typing import Any

from django.contrib import admin
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ami.base.links import EMPTY, change_link
from ami.base.next_steps import IMPORT
from ami.exchange.admin.formats import ImportFormatFilter, reader_name
from ami.exchange.admin.upload import UploadMixin
from ami.exchange.models import Import
from ami.exchange.plan import ImportPlan, Outcome
from ami.jobs.models import Job
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin

NAMES = {
    Outcome.CREATED: "Created",
    Outcome.CHANGED: "Changed",
    Outcome.DIFFERS: "Different",
    Outcome.UNCHANGED: "Unchanged",
    Outcome.CONTRADICTION: "Contradictions",
    Outcome.SKIPPED: "Skipped",
}


@admin.register(Import)
class ImportAdmin(AutocompleteFilterMixin, UploadMixin):
    """The files that Jobs have read. One is added by its upload, and never changed."""

    next_step = IMPORT
    list_display = ("id", "file", "format", "project", "job_link", "outcome", "created_at")
    list_filter = (("project", AutocompleteFilter), ImportFormatFilter)
    list_select_related = ("project", "job")
    annotations = {"counts": F("plan__counts")}
    deferred = ("plan", "job__params", "job__progress")
    fields = (
        "file",
        "format",
        "project",
        "job_link",
        "outcome",
        "created_at",
        "kept",
    )
    readonly_fields = fields
    search_fields = ("name",)
    search_help_text = "Search by id or name of the file."

    class Media:
        css = {"all": ["exchange/import.css"]}

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="file", ordering="name")
    def file(self, obj: Import) -> SafeString:
        return format_html("<bdi>{}</bdi>", obj.name or EMPTY)

    @admin.display(description="format", ordering="form")
    def format(self, obj: Import) -> str:
        return reader_name(obj.form)

    @admin.display(description="job")
    def job_link(self, obj: Import) -> SafeString:
        link = change_link(Job, obj.job_id)
        return format_html("{} (dry run)", link) if obj.job.dry_run else SafeString(link)

    @admin.display(description="rows")
    def outcome(self, obj: Any) -> str:
        """What became, or would become, of the rows."""
        return outcome_in_words(ImportPlan.from_json({"counts": obj.counts or {}})) or EMPTY

    @admin.display(description="file kept until")
    def kept(self, obj: Import) -> str:
        if not obj.is_available:
            return EMPTY
        return date_format(timezone.localtime(obj.expires_at), "DATETIME_FORMAT")


def outcome_in_words(plan: ImportPlan) -> str:
    """How many rows have each outcome, such as "Created: 7, unchanged: 3"."""
    told = ", ".join(
        f"{name.lower()}: {plan.total(outcome):,}"
        for outcome, name in NAMES.items()
        if plan.total(outcome)
    )
    return told[:1].upper() + told[1:]
