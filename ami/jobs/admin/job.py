from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.humanize.templatetags.humanize import intcomma
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from ami.base.admin import LargeTableChangeList, own_paths
from ami.base.audit import reasons_of
from ami.base.links import EMPTY, change_link
from ami.base.next_steps import NextStep
from ami.base.sections import sections_of
from ami.jobs.admin.again import AgainMixin
from ami.jobs.admin.control import VERBS, ControlMixin
from ami.jobs.admin.export import ExportMixin
from ami.jobs.admin.filters import (
    MethodFilter,
    NoticeFilter,
    PersonFilter,
    ProjectFilter,
    ScopeFilter,
)
from ami.jobs.admin.journal import journal_of
from ami.jobs.admin.live import live_of, whole_seconds
from ami.jobs.admin.log import LogMixin
from ami.jobs.admin.offers import offers_for, scopes_of
from ami.jobs.admin.pages import LIVE_SECTIONS, SECTIONS, VIEWS, JobView, badges
from ami.jobs.admin.revert import RevertMixin
from ami.jobs.journal.revert import reverts_of
from ami.jobs.models import Job
from ami.jobs.service import LAUNCH, can_run_again

COUNTERS = 4


class JobList(LargeTableChangeList):
    """A page of Jobs, each with its scope and the Job that has reverted it."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        jobs: list[Any] = list(self.result_list)
        scopes = scopes_of(jobs, request.user)
        reverted = [job.pk for job in jobs if job.has_revert]
        reverts = reverts_of(reverted) if reverted else {}
        for job in jobs:
            job.scope = scopes.get(job.pk)
            job.reverted_by_job = reverts.get(job.pk)


@admin.register(Job)
class JobAdmin(ControlMixin, ExportMixin, RevertMixin, LogMixin, AgainMixin):
    """The Jobs that have ended, run or wait. Jobs are started elsewhere and never edited."""

    next_step = NextStep(
        "Select rows in the list of {}, and choose a method from the list of actions.",
        "capture sets",
        "main.SourceImageCollection",
    )
    list_display = (
        "id",
        "method",
        "scope",
        "state",
        "figures",
        "project",
        "user",
        "date",
    )
    annotations = {"has_revert": Exists(Job.objects.filter(reverts=OuterRef("pk")))}
    list_filter = (
        MethodFilter,
        ScopeFilter,
        "status",
        "outcome",
        NoticeFilter,
        "dry_run",
        ProjectFilter,
        PersonFilter,
        ("created_at", admin.DateFieldListFilter),
    )
    list_select_related = ("project", "user")
    list_only = (
        "name",
        "job_type_key",
        "params",
        "status",
        "outcome",
        "dry_run",
        "reverts",
        "waits_for",
        "progress",
        "created_at",
        "started_at",
        "finished_at",
        "project__name",
        "user__name",
        "user__email",
    )
    search_fields = ("name",)
    search_help_text = "Search by id or name."

    class Media:
        css = {"all": ["jobs/job.css"]}
        js = ["jobs/job.js"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        own = own_paths(
            self,
            {
                "<path:object_id>/live/": self.live_view,
                "<path:object_id>/log/": self.log_view,
                "<path:object_id>/changes.csv": self.changes_view,
                "<path:object_id>/revert/": self.revert_view,
                "<path:object_id>/again/": self.again_view,
                "<path:object_id>/run-again/": self.run_again_view,
            },
        )
        plugged = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(partial(self._plugged_view, view)),
                name=f"jobs_job_{name}",
            )
            for name, view in VIEWS.items()
        ]
        return [*own, *plugged, *super().get_urls()]

    def _plugged_view(self, view: JobView, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self._job(request, object_id)
        return view(request, job, self._frame(request, job, title=job.name))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The Job's page, which is read-only; a POST pauses, resumes or cancels the Job."""
        job = self._job(request, object_id)
        if request.method == "POST":
            return self._control(request, job)
        context = {
            **self._frame(request, job, title=job.name),
            **self._live(request, job),
            "parameters": offers_for(job).parameters(job, request.user),
            "reasons": reasons_of(job),
            "sections": sections_of(SECTIONS, request, job),
            "has_delete_permission": job.is_final and self.has_delete_permission(request, job),
        }
        return render(request, "admin/jobs/job/page.html", context)

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The section of the Job's page that changes while the Job runs."""
        job = self._job(request, object_id)
        return render(request, "admin/jobs/job/live.html", self._live(request, job))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return JobList

    @admin.display(description="method")
    def method(self, job: Job) -> SafeString:
        return format_html("<bdi>{}</bdi>", Truncator(offers_for(job).method(job)).chars(80))

    @admin.display(description="scope")
    def scope(self, job: Any) -> SafeString:
        return format_html("<bdi>{}</bdi>", job.scope or EMPTY)

    @admin.display(description="outcome")
    def state(self, job: Any) -> SafeString:
        told = badges(job, reverted_by=job.reverted_by_job)
        if job.waits_for_id is None:
            return told
        return format_html("{} (waits for {})", told, change_link(Job, job.waits_for_id))

    @admin.display(description="progress")
    def figures(self, job: Job) -> SafeString:
        """A bar while the Job runs, and its first counters other than 0."""
        stage = job.progress.work_stage
        counters = [figure for figure in (stage.figures if stage else []) if figure[1]][:COUNTERS]
        lines = ((title, intcomma(value)) for title, value in counters)
        told = format_html_join("", '<span class="job-counter">{}: {}</span>', lines)
        if job.is_final:
            return told or EMPTY
        share = f"{job.progress.fraction:.0%}"
        return format_html(
            '<progress max="100" value="{}" aria-label="Progress of Job {}"></progress> {}{}',
            share.rstrip("%"),
            job.pk,
            share,
            told,
        )

    @admin.display(description="date", ordering="created_at")
    def date(self, job: Job) -> SafeString:
        """When it was queued, and how long it has run."""
        at = timezone.localtime(job.created_at)
        took = "" if job.duration is None else whole_seconds(job.duration)
        return format_html("{} {}<br>{}", f"{at:%Y-%m-%d}", f"{at:%H:%M}", took)

    def _live(self, request: HttpRequest, job: Job) -> dict[str, Any]:
        may_control = self.has_change_permission(request, job)
        may_launch, offers = request.user.has_perm(LAUNCH, job), offers_for(job)
        reverted_by = reverts_of([job.pk]).get(job.pk) if job.is_final else None
        return live_of(job) | {
            "badges": badges(job, reverted_by=reverted_by),
            "verbs": [verb for verb in VERBS if may_control and verb.allowed(job)],
            "may_revert": may_launch and offers.may_revert(job, request.user),
            "applicable": may_launch and job.is_final and offers.can_apply(job, request.user),
            "runs_again": may_launch
            and can_run_again(job)
            and offers.may_run_again(job, request.user),
            "journal": journal_of(job) if job.is_final else None,
            "live_sections": sections_of(LIVE_SECTIONS, request, job),
            "results": offers.results(job, request.user) if job.is_final else [],
        }
