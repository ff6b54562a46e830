"""Run a Job again as a new Job, from its page and from the list."""

from collections.abc import Sequence

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.html import format_html

from ami.base.audit import Kind, record
from ami.base.ids import parse_id
from ami.jobs.admin.offers import offers_for
from ami.jobs.admin.pages import JobPagesMixin, job_link, operator_of, page_url
from ami.jobs.models import Job
from ami.jobs.service import (
    LAUNCH,
    AlreadyLaunchedError,
    ApplyRefusedError,
    RunAgainRefusedError,
    ScopeChangedError,
    refuse_to_run_again,
)


class AgainMixin(JobPagesMixin):
    """The views that run a Job again, after asking for the options, and that apply a dry run."""

    @admin.action(description="Run selected jobs again", permissions=["launch"])
    def run_jobs_again(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse | None:
        """Show the form of options, filled in with those that the Jobs share."""
        try:
            return self._ask_for_options(request, list(queryset.order_by("pk")))
        except RunAgainRefusedError as refused:
            self.message_user(request, str(refused), messages.WARNING)
            return None

    def has_launch_permission(self, request: HttpRequest, job: Job | None = None) -> bool:
        return request.user.has_perm(LAUNCH, job)

    def run_again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the form of options, filled in with those of this Job."""
        job = self._job(request, object_id)
        if not self.has_launch_permission(request, job):
            raise PermissionDenied
        try:
            return self._ask_for_options(request, [job])
        except RunAgainRefusedError as refused:
            self.message_user(request, str(refused), messages.WARNING)
            return HttpResponseRedirect(page_url(job))

    def _ask_for_options(self, request: HttpRequest, jobs: list[Job]) -> HttpResponse:
        """Raises RunAgainRefusedError and PermissionDenied."""
        if not jobs:
            raise RunAgainRefusedError("The selected Jobs no longer exist; nothing was started.")
        for job in jobs:
            refuse_to_run_again(job)
        return offers_for(jobs[0]).options_page(request, jobs, site=self.admin_site)

    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Apply the Job on POST; first ask for confirmation if its scope has changed."""
        job = self._job(request, object_id)
        if not self.has_launch_permission(request, job):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseRedirect(page_url(job))
        try:
            again = offers_for(job).apply(
                job, user=operator_of(request), confirmed="_confirmed" in request.POST
            )
        except ScopeChangedError as changed:
            context = {
                **self._frame(request, job, title=f"Apply dry run {job.pk}"),
                "changes": changed.changes,
            }
            return render(request, "admin/jobs/job/again.html", context)
        except AlreadyLaunchedError as former:
            return self._lead_to_former(request, job, former.job_ids[0])
        except ApplyRefusedError as refused:
            self.message_user(request, str(refused), messages.WARNING)
            return HttpResponseRedirect(page_url(job))
        self.message_user(
            request, format_html("Started Job {}, which applies {}.", again.pk, job_link(job))
        )
        return HttpResponseRedirect(page_url(again))

    def _lead_to_former(self, request: HttpRequest, job: Job, former: int) -> HttpResponse:
        text = f"Job {former} already applies Job {job.pk}; no new Job was started."
        self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(page_url(Job(pk=former)))


def record_run_again(request: HttpRequest, job_ids: Sequence[int]) -> None:
    """Record, for the Jobs that the form of options was filled in with, which new Jobs it made."""
    formers = [parse_id(text) for text in request.POST.get("again", "").split(",")]
    if any(formers):
        jobs = Job.objects.for_user(request.user, LAUNCH).filter(pk__in=filter(None, formers))
        made = f"{'Job' if len(job_ids) == 1 else 'Jobs'} {', '.join(map(str, job_ids))}"
        record(jobs, kind=Kind.RUN_AGAIN, user=request.user, message=f"Run again as {made}.")
