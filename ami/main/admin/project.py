from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.links import count_link
from ami.base.scoped import ScopedInlineMixin
from ami.main.admin.determinations import RedetermineOnDeleteMixin
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin
from ami.main.admin.overview import OverviewMixin, overview_url
from ami.main.models import Deployment, Event, Membership, Occurrence, Project, SourceImage
from ami.ml.post_processing.admin import PostProcessingActionsMixin
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.users.models import User


class ProjectForm(forms.ModelForm[Project]):
    methods = forms.MultipleChoiceField(
        choices=lambda: [(key, task.name) for key, task in POSTPROCESSING_TASKS.items()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=Project._meta.get_field("methods").help_text,
    )


class MembershipInline(ScopedInlineMixin, admin.TabularInline[Membership, Project]):
    model = Membership
    autocomplete_fields = ("user",)
    fields = ("role", "user")  # a narrow screen shows the first column
    extra = 1
    verbose_name = "member"


@admin.register(Project)
class ProjectAdmin(OverviewMixin, LargeTableAdmin[Project]):
    form = ProjectForm
    inlines = (MembershipInline,)
    list_display = ("name", "id", "owner", "created_at")
    list_select_related = ("owner",)
    list_only = ("name", "created_at", "owner__email", "owner__name")
    search_fields = ("name",)
    search_help_text = "Search by id or name."
    sortable_by = ("id", "name")
    autocomplete_fields = ("owner",)

    def view_on_site(self, obj: Project) -> str:
        return overview_url(obj)

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        """Save. Whoever adds a project without naming an owner owns it, and so sees it."""
        if not change and obj.owner is None:
            obj.owner = cast(User, request.user)
        super().save_model(request, obj, form, change)


class _CachedCountsMixin(AutocompleteFilterMixin):
    """Columns of the cached counts, each with a link to the counted rows."""

    link_lookup: str

    @admin.display(description="captures")
    def captures(self, obj: Any) -> str:
        return count_link(SourceImage, obj.captures_count, **{self.link_lookup: obj.pk})

    @admin.display(description="occurrences")
    def occurrences(self, obj: Any) -> str:
        return count_link(Occurrence, obj.occurrences_count, **{self.link_lookup: obj.pk})


@admin.register(Deployment)
class DeploymentAdmin(_CachedCountsMixin, RedetermineOnDeleteMixin, LargeTableAdmin[Deployment]):
    occurrence_lookup = "detections__source_image__deployment"
    link_lookup = "deployment__id__exact"
    list_display = (
        "name",
        "id",
        "project",
        "time_zone",
        "events",
        "captures",
        "detections_count",
        "occurrences",
    )
    list_filter = (("project", AutocompleteFilter),)
    list_select_related = ("project",)
    list_only = ("name", "time_zone", "project__name", *Deployment.COUNTS)
    search_fields = ("name",)
    search_help_text = "Search by id or name."
    sortable_by = ("id", "name")
    autocomplete_fields = ("project",)
    readonly_fields = (*Deployment.COUNTS, "created_at", "updated_at")

    @admin.display(description="nights")
    def events(self, obj: Deployment) -> str:
        return count_link(Event, obj.events_count, deployment__id__exact=obj.pk)

    def save_model(self, request: HttpRequest, obj: Deployment, form: Any, change: bool) -> None:
        """Save. If the time zone changes, a worker groups the captures into nights again."""
        regroup = change and "time_zone" in form.changed_data
        obj.save(regroup_async=True if regroup else None)
        if regroup:
            self.message_user(
                request,
                f"A worker groups the captures of {obj} into nights in the time zone "
                f"{obj.time_zone}.",
                messages.INFO,
            )


@admin.register(Event)
class EventAdmin(PostProcessingActionsMixin, _CachedCountsMixin, LargeTableAdmin[Event]):
    link_lookup = "event__id__exact"
    list_display = (
        "group_by",
        "id",
        "deployment",
        "project",
        "start",
        "end",
        "captures",
        "detections_count",
        "occurrences",
    )
    list_filter = (("project", AutocompleteFilter), ("deployment", AutocompleteFilter))
    list_select_related = ("deployment", "project")
    list_only = (
        "group_by",
        "start",
        "end",
        "captures_count",
        "detections_count",
        "occurrences_count",
        "deployment__name",
        "project__name",
    )
    search_fields = ("group_by", "deployment__name")
    search_help_text = "Search by id, night (2024-06-20) or deployment."
    autocomplete_fields = ("project", "deployment")
    readonly_fields = (
        "captures_count",
        "detections_count",
        "occurrences_count",
        "created_at",
        "updated_at",
    )
