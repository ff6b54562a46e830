"""Applying a dry run, and applying again what was reverted, from a Job's page."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.html import format_html

from ami.jobs.admin.pages import JobPagesMixin, job_link, operator_of, page_url
from ami.jobs.models import Job
from ami.ml.post_processing.again import RunAgainRefusedError, ScopeChangedError, run_again
from ami.ml.post_processing.service import AlreadyLaunchedError


class AgainMixin(JobPagesMixin):
    """One click to do what a Job did once more."""

    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A POST launches; where a dry run saw another scope, the page says so and asks again."""
        job = self._job(request, object_id)
        if not request.user.has_perm("jobs.add_job"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseRedirect(page_url(job))
        try:
            again = run_again(
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
        except RunAgainRefusedError as refused:
            self.message_user(request, str(refused), messages.WARNING)
            return HttpResponseRedirect(page_url(job))
        self.log_change(request, job, f"Applied by Job {again.pk}.")
        self.message_user(
            request, format_html("Started Job {}: it applies {}.", again.pk, job_link(job))
        )
        return HttpResponseRedirect(page_url(again))

    def _lead_to_former(self, request: HttpRequest, job: Job, former: int) -> HttpResponse:
        text = f"Job {former} applies Job {job.pk} already; nothing new was started."
        self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(page_url(Job(pk=former)))
