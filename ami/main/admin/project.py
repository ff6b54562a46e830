from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import F, Func, IntegerField, Model, OuterRef, Subquery
from django.http import HttpRequest

from ami.base.admin import LargeTableAdmin
from ami.base.links import count_link, list_url
from ami.base.next_steps import IMPORT, NextStep
from ami.base.scoped import ScopedInlineMixin
from ami.base.subqueries import count_subquery
from ami.main.admin.determinations import RedetermineOnDeleteMixin
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin
from ami.main.admin.history import DetailsMixin, JobsHistoryMixin
from ami.main.admin.nights import strip_of, tracks_of
from ami.main.admin.overview import OverviewMixin, overview_url
from ami.main.models import (
    Deployment,
    Detection,
    Event,
    Membership,
    Occurrence,
    Project,
    SourceImage,
)
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


def _sum_of_deployments(name: str) -> Subquery:
    own = Deployment.objects.filter(project=OuterRef("pk")).order_by()
    total = Func(F(name), function="SUM", output_field=IntegerField())
    return Subquery(own.annotate(total=total).values("total"))


@admin.register(Project)
class ProjectAdmin(OverviewMixin, LargeTableAdmin[Project]):
    form = ProjectForm
    inlines = (MembershipInline,)
    annotations = {
        f"{name}_sum": _sum_of_deployments(name)
        for name in ("events_count", "captures_count", "detections_count", "occurrences_count")
    } | {"deployments_number": count_subquery(Deployment.objects.all(), "project")}
    next_step = NextStep(
        "{}, then import its captures and occurrences.", "Add a project", "main.Project", adds=True
    )
    list_display = (
        "name",
        "id",
        "owner",
        "deployments_link",
        "events_link",
        "captures_link",
        "detections_link",
        "occurrences_link",
    )
    list_select_related = ("owner",)
    list_only = ("name", "owner__email", "owner__name")
    search_fields = ("name",)
    search_help_text = "Search by id or name."
    sortable_by = ("id", "name")
    autocomplete_fields = ("owner",)
    readonly_fields = (
        "deployments_link",
        "events_link",
        "captures_link",
        "detections_link",
        "occurrences_link",
        "created_at",
        "updated_at",
    )

    @admin.display(description="deployments")
    def deployments_link(self, obj: Any) -> str:
        number = getattr(obj, "deployments_number", 0)
        return count_link(Deployment, number, project__id__exact=obj.pk)

    @admin.display(description="nights")
    def events_link(self, obj: Any) -> str:
        return self._link(Event, obj, "events_count")

    @admin.display(description="captures")
    def captures_link(self, obj: Any) -> str:
        return self._link(SourceImage, obj, "captures_count")

    @admin.display(description="detections")
    def detections_link(self, obj: Any) -> str:
        lookup = "source_image__deployment__project__id__exact"
        return self._link(Detection, obj, "detections_count", lookup=lookup)

    @admin.display(description="occurrences")
    def occurrences_link(self, obj: Any) -> str:
        return self._link(Occurrence, obj, "occurrences_count")

    def _link(
        self, model: type[Model], obj: Any, name: str, lookup: str = "project__id__exact"
    ) -> str:
        """Return the sum of the deployments' cached counts, as a link to the rows."""
        return count_link(model, getattr(obj, f"{name}_sum", None) or 0, **{lookup: obj.pk})

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
    detections_lookup: str

    @admin.display(description="captures")
    def captures(self, obj: Any) -> str:
        return count_link(SourceImage, obj.captures_count, **{self.link_lookup: obj.pk})

    @admin.display(description="detections")
    def detections(self, obj: Any) -> str:
        return count_link(Detection, obj.detections_count, **{self.detections_lookup: obj.pk})

    @admin.display(description="occurrences")
    def occurrences(self, obj: Any) -> str:
        return count_link(Occurrence, obj.occurrences_count, **{self.link_lookup: obj.pk})


@admin.register(Deployment)
class DeploymentAdmin(_CachedCountsMixin, RedetermineOnDeleteMixin, LargeTableAdmin[Deployment]):
    superuser_fields = ("storage",)  # it tells whose files the paths name
    occurrence_lookup = "detections__source_image__deployment"
    link_lookup = "deployment__id__exact"
    detections_lookup = "source_image__deployment__id__exact"
    next_step = NextStep(
        "{}, or import a file that names it.", "Add a deployment", "main.Deployment", adds=True
    )
    list_display = (
        "name",
        "id",
        "project",
        "time_zone",
        "events",
        "captures",
        "detections",
        "occurrences",
    )
    list_filter = (("project", AutocompleteFilter),)
    list_select_related = ("project",)
    list_only = ("name", "time_zone", "project__name", *Deployment.COUNTS)
    search_fields = ("name",)
    search_help_text = "Search by id or name."
    sortable_by = ("id", "name")
    autocomplete_fields = ("project",)
    readonly_fields = (
        "events",
        "captures",
        "detections",
        "occurrences",
        "created_at",
        "updated_at",
    )

    @admin.display(description="nights")
    def events(self, obj: Deployment) -> str:
        return count_link(Event, obj.events_count, deployment__id__exact=obj.pk)

    def save_model(self, request: HttpRequest, obj: Deployment, form: Any, change: bool) -> None:
        """Save. If what divides nights changes, a worker groups the captures into nights again."""
        regroup = change and bool(obj.DIVIDERS.intersection(form.changed_data))
        obj.save(regroup_async=True if regroup else None)
        if regroup:
            self.message_user(
                request,
                f"A worker groups the captures of {obj} into nights that begin at "
                f"{obj.night_starts:%H:%M} in the time zone {obj.time_zone}.",
                messages.INFO,
            )


@admin.register(Event)
class EventAdmin(
    PostProcessingActionsMixin,
    JobsHistoryMixin,
    _CachedCountsMixin,
    DetailsMixin,
    LargeTableAdmin[Event],
):
    link_lookup = "event__id__exact"
    detections_lookup = "source_image__event__id__exact"
    next_step = IMPORT
    list_display = (
        "group_by",
        "id",
        "deployment",
        "project",
        "start",
        "end",
        "captures",
        "detections",
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
        "captures",
        "detections",
        "occurrences",
        "created_at",
        "updated_at",
    )

    def get_details(self, request: HttpRequest, obj: Event) -> dict[str, Any]:
        return {
            "strip": strip_of(obj),
            "tracks": tracks_of(obj),
            "captures_url": list_url(SourceImage, event__id__exact=obj.pk),
            "occurrences_url": list_url(Occurrence, event__id__exact=obj.pk),
        }
