from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ami.base.audit import reasons_of
from ami.base.links import EMPTY, change_link
from ami.jobs.admin.again import AgainMixin
from ami.jobs.admin.control import VERBS, ControlMixin
from ami.jobs.admin.journal import JournalMixin, journal_of
from ami.jobs.admin.live import live_of, whole_seconds
from ami.jobs.admin.log import LogMixin
from ami.jobs.admin.offers import offers_for
from ami.jobs.admin.pages import badges
from ami.jobs.admin.revert import RevertMixin
from ami.jobs.models import Job
from ami.jobs.service import LAUNCH, can_run_again
from ami.jobs.states import Outcome


@admin.register(Job)
class JobAdmin(ControlMixin, JournalMixin, RevertMixin, LogMixin, AgainMixin):
    """The Jobs that have ended, run or wait. Jobs are started elsewhere and never edited."""

    list_display = (
        "name",
        "state",
        "progress_share",
        "id",
        "project",
        "user",
        "created_at",
        "duration",
    )
    list_filter = ("status", "outcome", "dry_run", "job_type_key")
    list_select_related = ("project", "user")
    list_only = (
        "name",
        "status",
        "outcome",
        "dry_run",
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
        views = {
            "live/": self.live_view,
            "log/": self.log_view,
            "changes.csv": self.changes_view,
            "revert/": self.revert_view,
            "again/": self.again_view,
            "run-again/": self.run_again_view,
        }
        own = [
            path(
                f"<path:object_id>/{name}",
                self.admin_site.admin_view(view),
                name=f"jobs_job_{view.__name__.removesuffix('_view')}",
            )
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

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
            "reasons": reasons_of(job),
            "has_delete_permission": job.is_final and self.has_delete_permission(request, job),
        }
        return render(request, "admin/jobs/job/page.html", context)

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The section of the Job's page that changes while the Job runs."""
        job = self._job(request, object_id)
        return render(request, "admin/jobs/job/live.html", self._live(request, job))

    @admin.display(description="status", ordering="status")
    def state(self, job: Job) -> SafeString:
        if job.waits_for_id is None:
            return badges(job)
        return format_html("{} (waits for {})", badges(job), change_link(Job, job.waits_for_id))

    @admin.display(description="progress")
    def progress_share(self, job: Job) -> str:
        return EMPTY if job.outcome == Outcome.NOTHING else f"{job.progress.fraction:.0%}"

    @admin.display(description="duration")
    def duration(self, job: Job) -> str:
        return whole_seconds(job.duration)

    def _live(self, request: HttpRequest, job: Job) -> dict[str, Any]:
        may_control = self.has_change_permission(request, job)
        may_launch = request.user.has_perm(LAUNCH, job)
        return live_of(job) | {
            "verbs": [verb for verb in VERBS if may_control and verb.allowed(job)],
            "may_launch": may_launch,
            "applicable": may_launch and job.is_final and offers_for(job).can_apply(job),
            "runs_again": may_launch and can_run_again(job),
            "journal": journal_of(job) if job.is_final else None,
        }
