"""Pause, resume and cancel Jobs, from a Job's page and from the list."""

from typing import NamedTuple

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ami.base.audit import Kind, record
from ami.jobs.admin.pages import JobPagesMixin, operator_of, page_url, state_of
from ami.jobs.models import Job
from ami.jobs.states import JobState

NAMED = 10


class Verb(NamedTuple):
    """A method of Job that changes its state; `only` says which Jobs allow it."""

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
        "Stop after the current batches. The Job can be resumed.",
        "paused",
        "only a Job that runs in parts can be paused",
    ),
    Verb(
        "resume",
        "Resume",
        "Continue where the Job stopped.",
        "resumed",
        "only a paused, canceled or failed Job that has work left and was not reverted can be "
        "resumed",
    ),
    Verb(
        "cancel",
        "Cancel",
        "Stop after the current batches. Committed changes stay.",
        "canceled",
        "only a Job that has not ended and is not being canceled can be canceled",
    ),
)
BY_NAME = {verb.name: verb for verb in VERBS}


class ControlMixin(JobPagesMixin):
    """The buttons on a Job's page and the corresponding actions of the list."""

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
        """Handle the button that was pressed. Raises PermissionDenied."""
        if not self.has_change_permission(request, job):
            raise PermissionDenied
        verb = next((verb for verb in VERBS if f"_{verb.name}" in request.POST), None)
        if verb and self._ask(request, job, verb):
            _record(request, [job], verb)
            done = "is being" if job.status == JobState.CANCELING else "was"
            text = f"Job {job.pk} {done} {verb.done}."
            self.message_user(request, text, messages.SUCCESS)
        elif verb:
            text = f"Job {job.pk} ({state_of(job).lower()}) was left alone: {verb.only}."
            self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(page_url(job))

    def _ask_all(self, request: HttpRequest, jobs: QuerySet[Job], verb: Verb) -> None:
        done, left = [], []
        for job in jobs.order_by("pk"):
            if self._ask(request, job, verb):
                done.append(job)
            else:
                left.append(f"Job {job.pk} ({state_of(job).lower()})")
        _record(request, done, verb)
        text = f"{len(done)} {verb.done}."
        if left:
            more = ", …" if len(left) > NAMED else ""
            text += f" {len(left)} left alone: {', '.join(left[:NAMED])}{more}; {verb.only}."
        self.message_user(request, text, messages.WARNING if left else messages.SUCCESS)

    def _ask(self, request: HttpRequest, job: Job, verb: Verb) -> bool:
        """Whether the Job changed its state; its log names the user."""
        done = getattr(job, verb.name)(by=operator_of(request).email)
        if not done:
            job.refresh_from_db(fields=["status", "outcome"])
        return bool(done)


def _record(request: HttpRequest, jobs: list[Job], verb: Verb) -> None:
    message = f"{verb.done.capitalize()}."
    record(jobs, kind=Kind(verb.name), user=request.user, message=message)
