from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import naturaltime

from ami.base.admin import ReadOnlyAdminMixin
from ami.base.next_steps import NextStep
from ami.jobs.models import Pulse


@admin.register(Pulse)
class PulseAdmin(ReadOnlyAdminMixin, admin.ModelAdmin[Pulse]):
    """When beat and the health check last reported."""

    next_step = NextStep("Start a worker and beat; each reports once a minute.")
    list_display = ("label", "at", "age")
    list_display_links = None
    ordering = ("name",)
    sortable_by = ()

    @admin.display(description="service")
    def label(self, pulse: Pulse) -> str:
        return str(pulse)

    @admin.display(description="how long ago")
    def age(self, pulse: Pulse) -> str:
        return str(naturaltime(pulse.at))
