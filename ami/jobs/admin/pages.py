"""What the pages of one Job share."""

from collections.abc import Callable
from typing import Any, TypeAlias, cast
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ami.base.admin import LargeTableAdmin, page_context
from ami.base.links import change_url
from ami.base.sections import Section
from ami.jobs.models import Job, JobPart
from ami.jobs.service import LAUNCH
from ami.users.models import User

# Returns a page about a Job, with the context that all pages of a Job share.
JobView: TypeAlias = Callable[[HttpRequest, Job, dict[str, Any]], HttpResponse]

LAUNCH_KEY = "launch_key"

# Further parts of a Job's page, those of them that change while the Job runs, and further pages by
# the last part of their address, by higher layers.
SECTIONS: list[Section] = []
LIVE_SECTIONS: list[Section] = []
VIEWS: dict[str, JobView] = {}


class JobPagesMixin(LargeTableAdmin[Job]):
    """Find the Job of a page, and build the context that all pages share."""

    def _job(self, request: HttpRequest, object_id: str) -> Job:
        """Raises Http404 and PermissionDenied."""
        planned = Exists(JobPart.objects.filter(job=OuterRef("pk"), is_planned=True))
        jobs = self.get_queryset(request).select_related("project", "user")
        jobs = jobs.annotate(**{"is_planned": planned})
        return self.row_of_page(request, object_id, jobs, noun="Job")

    def permission(self, verb: str) -> str:
        """Return the permission of an action; that to launch is the one to add."""
        return LAUNCH if verb == "launch" else f"jobs.{verb}_job"

    def _frame(self, request: HttpRequest, job: Job, *, title: str) -> dict[str, Any]:
        return {
            **page_context(self, request, title=title),
            "original": job,
            "page_url": page_url(job),
        }


def page_url(job: Job) -> str:
    return change_url(Job, job.pk)


def job_link(job: Job) -> SafeString:
    return format_html('<a href="{}">Job {}</a>', page_url(job), job.pk)


def operator_of(request: HttpRequest) -> User:
    return cast(User, request.user)


def launch_key_of(request: HttpRequest) -> str | None:
    """The key of the submitted form; None if it is missing or malformed."""
    try:
        return str(UUID(request.POST.get(LAUNCH_KEY, "")))
    except ValueError:
        return None


def state_of(job: Job) -> str:
    """The outcome of a Job that has ended, else its status."""
    return job.get_outcome_display() or job.get_status_display()


def badges(job: Job, *, reverted_by: Job | None = None) -> SafeString:
    """The Job's state, its warnings, a mark for a dry run, and the Job that has reverted it."""
    told = [
        (f"job-status job-status-{(job.outcome or job.status).lower()}", state_of(job)),
        *(("job-warning", f"{param.shown} {param.title.lower()}") for param in job.progress.heeded),
    ]
    if job.dry_run:
        told.append(("job-dry-run", "Dry run"))
    if reverted_by:
        told.append(("job-reverted", format_html("Reverted by {}", job_link(reverted_by))))
    return format_html_join(" ", '<span class="{}">{}</span>', told)
