from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ami.base.admin import LargeTableAdmin
from ami.base.links import EMPTY, list_url
from ami.jobs.admin.journal import JournalMixin, journal_of
from ami.jobs.models import Job, JobLog
from ami.jobs.states import RUNNING, JobState
from ami.main.models import Classification

LOG_LINES = 200


@admin.register(Job)
class JobAdmin(JournalMixin, LargeTableAdmin[Job]):
    """What has run, runs, and waits. Jobs are started elsewhere and never edited."""

    list_display = (
        "name",
        "id",
        "status_badge",
        "progress_share",
        "project",
        "user",
        "created_at",
        "duration",
    )
    list_filter = ("status", "job_type_key")
    list_select_related = ("project", "user")
    actions = ("cancel_jobs", "retry_jobs")
    search_fields = ("name",)
    search_help_text = "Search by id or name."

    class Media:
        css = {"all": ["jobs/job.css"]}
        js = ["jobs/job.js"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The Job's page: nothing to edit, everything to see; a POST cancels or retries."""
        job = self._job(request, object_id)
        if request.method == "POST":
            return self._control(request, job)
        context = {
            **self.admin_site.each_context(request),
            **self._live(request, job),
            "title": job.name,
            "opts": self.opts,
            "original": job,
            "media": self.media,
            "has_delete_permission": self.has_delete_permission(request, job),
        }
        return render(request, "admin/jobs/job/page.html", context)

    def get_urls(self) -> list[URLPattern]:
        live = path(
            "<path:object_id>/live/",
            self.admin_site.admin_view(self.live_view),
            name="jobs_job_live",
        )
        return [live, *super().get_urls()]

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The part of the Job's page that changes while it runs."""
        job = self._job(request, object_id)
        return render(request, "admin/jobs/job/live.html", self._live(request, job))

    @admin.display(description="status", ordering="status")
    def status_badge(self, job: Job) -> SafeString:
        return format_html(
            '<span class="job-status job-status-{}">{}</span>',
            job.status.lower(),
            job.get_status_display(),
        )

    @admin.display(description="progress")
    def progress_share(self, job: Job) -> str:
        return f"{job.progress.fraction:.0%}"

    @admin.display(description="took")
    def duration(self, job: Job) -> str:
        return _whole_seconds(job.duration)

    @admin.action(description="Cancel selected jobs", permissions=["change"])
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        canceled = sum(job.cancel() for job in queryset.order_by("pk"))
        self._tell(request, queryset, done=canceled, verb="canceled", why="had ended")

    @admin.action(description="Retry selected jobs", permissions=["change"])
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        queued = sum(job.retry() for job in queryset.order_by("pk"))
        self._tell(
            request,
            queryset,
            done=queued,
            verb="queued again",
            why="had not ended, or were reverted",
        )

    def _job(self, request: HttpRequest, object_id: str) -> Job:
        job: Job | None = self.get_object(request, object_id)
        if job is None:
            raise Http404(f"There is no Job {object_id}.")
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        return job

    def _control(self, request: HttpRequest, job: Job) -> HttpResponse:
        if not self.has_change_permission(request, job):
            raise PermissionDenied
        if "_cancel" in request.POST:
            done, late = job.cancel(), "It has ended; nothing is left to cancel."
        else:
            done, late = job.retry(), "It has not ended, or was reverted; nothing was queued again."
        if not done:
            self.message_user(request, late, messages.WARNING)
        return HttpResponseRedirect(request.path)

    def _live(self, request: HttpRequest, job: Job) -> dict[str, Any]:
        return _live(job) | {"may_control": self.has_change_permission(request, job)}

    def _tell(
        self, request: HttpRequest, jobs: QuerySet[Job], *, done: int, verb: str, why: str
    ) -> None:
        left = jobs.count() - done
        text = f"{done} {verb}." + (f" {left} left alone: they {why}." if left else "")
        self.message_user(request, text, messages.WARNING if left else messages.SUCCESS)


def _live(job: Job) -> dict[str, Any]:
    lines = list(job.logs.order_by("-pk")[: LOG_LINES + 1])
    return {
        "job": job,
        "is_running": job.status in RUNNING,
        "is_failed": job.status == JobState.FAILURE,
        "percent": round(job.progress.fraction * 100),
        "took": _whole_seconds(job.duration),
        "parameters": _parameters(job.params),
        "lines": lines[LOG_LINES - 1 :: -1],
        "written": job.classifications.count() if job.is_final else None,
        "written_url": list_url(Classification, job__id__exact=job.pk),
        "journal": journal_of(job) if job.is_final else None,
        "log_url": list_url(JobLog, job__id__exact=job.pk),
        "has_more_lines": len(lines) > LOG_LINES,
    }


def _parameters(params: Any) -> list[tuple[str, Any]]:
    """A Job's parameters by name, those of its `config` among them, whatever is stored."""
    if not isinstance(params, dict):
        return []
    config = params.get("config")
    if not isinstance(config, dict):
        return list(params.items())
    return [*((name, params[name]) for name in params if name != "config"), *config.items()]


def _whole_seconds(duration: timedelta | None) -> str:
    if duration is None:
        return EMPTY
    return "under a second" if duration.total_seconds() < 1 else str(duration).partition(".")[0]
