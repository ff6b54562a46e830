from typing import Any

from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.http import HttpRequest

from ami.jobs.models import Pulse


@admin.register(Pulse)
class PulseAdmin(admin.ModelAdmin[Pulse]):
    """When beat and the health check last reported."""

    list_display = ("label", "at", "age")
    list_display_links = None
    ordering = ("name",)
    sortable_by = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="service")
    def label(self, pulse: Pulse) -> str:
        return str(pulse)

    @admin.display(description="how long ago")
    def age(self, pulse: Pulse) -> str:
        return str(naturaltime(pulse.at))
