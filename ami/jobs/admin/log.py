from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.jobs.models import JobLog


@admin.register(JobLog)
class JobLogAdmin(LargeTableAdmin[JobLog]):
    """The log lines of all Jobs, or of the one that a filter names. Nobody edits them."""

    list_display = ("id", "created_at", "level", "message", "job_id")
    list_display_links = None
    readonly_fields = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == "job__id__exact" or super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False
