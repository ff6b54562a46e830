"""Pausing, resuming and canceling Jobs, from a Job's page and from the list."""

from typing import NamedTuple

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ami.jobs.admin.pages import JobPagesMixin, operator_of, page_url, state_of
from ami.jobs.models import Job

NAMED = 10


class Verb(NamedTuple):
    """A method of Job that asks it for something; `only` says which Jobs it is for."""

    name: str
    label: str
    hint: str
    done: str
    only: str

    def allowed(self, job: Job) -> bool:
        return bool(getattr(job, f"can_{self.name}"))


VERBS = (
    Verb(
        "pause",
        "Pause",
        "Stop after the present batches, to be resumed.",
        "paused",
        "only a Job that runs in parts can be paused",
    ),
    Verb(
        "resume",
        "Resume",
        "Go on where it stopped.",
        "resumed",
        "only a paused, canceled or failed Job with work left, of which nothing was reverted, "
        "can be resumed",
    ),
    Verb(
        "cancel",
        "Cancel",
        "Stop after the present batches; what was committed stays.",
        "canceled",
        "only a Job that has not ended, and was not canceled before, can be canceled",
    ),
)
BY_NAME = {verb.name: verb for verb in VERBS}


class ControlMixin(JobPagesMixin):
    """The buttons of a Job's page, and the actions of the list that do the same."""

    actions = ("pause_jobs", "resume_jobs", "cancel_jobs", "run_jobs_again")

    @admin.action(description="Pause selected jobs", permissions=["change"])
    def pause_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._ask_all(request, queryset, BY_NAME["pause"])

    @admin.action(description="Resume selected jobs", permissions=["change"])
    def resume_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._ask_all(request, queryset, BY_NAME["resume"])

    @admin.action(description="Cancel selected jobs", permissions=["change"])
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._ask_all(request, queryset, BY_NAME["cancel"])

    def _control(self, request: HttpRequest, job: Job) -> HttpResponse:
        """Do what the pressed button says. Raises PermissionDenied."""
        if not self.has_change_permission(request, job):
            raise PermissionDenied
        verb = next((verb for verb in VERBS if f"_{verb.name}" in request.POST), None)
        if verb and not self._ask(request, job, verb):
            text = f"Nothing was done to Job {job.pk} ({state_of(job).lower()}): {verb.only}."
            self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(page_url(job))

    def _ask_all(self, request: HttpRequest, jobs: QuerySet[Job], verb: Verb) -> None:
        left, count = [], 0
        for job in jobs.order_by("pk"):
            count += 1
            if not self._ask(request, job, verb):
                left.append(f"Job {job.pk} ({state_of(job).lower()})")
        text = f"{count - len(left)} {verb.done}."
        if left:
            more = ", …" if len(left) > NAMED else ""
            text += f" {len(left)} left alone: {', '.join(left[:NAMED])}{more}; {verb.only}."
        self.message_user(request, text, messages.WARNING if left else messages.SUCCESS)

    def _ask(self, request: HttpRequest, job: Job, verb: Verb) -> bool:
        """Whether the Job did it; it tells its log by whom, and the admin its history."""
        done = getattr(job, verb.name)(by=operator_of(request).email)
        if done:
            self.log_change(request, job, f"{verb.done.capitalize()}.")
        else:
            job.refresh_from_db(fields=["status", "outcome"])
        return bool(done)
