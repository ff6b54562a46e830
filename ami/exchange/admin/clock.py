"""What the page of a Job says about a shift of a clock, and the page that shifts it again."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html

from ami.base.access import visible_rows_of
from ami.base.audit import reason_of
from ami.base.ids import stored_id
from ami.base.links import change_link, change_url
from ami.exchange.admin.again import again_context
from ami.exchange.clock import (
    CHANGE,
    JOB_TYPE,
    Shift,
    ShiftRefusedError,
    ShiftWork,
    parse_shift,
    plan_shift,
    queue_shift,
)
from ami.jobs.admin.again import record_run_again
from ami.jobs.admin.offers import OFFERS, JobOffers
from ami.jobs.admin.pages import LAUNCH_KEY, launch_key_of
from ami.jobs.models import Job
from ami.jobs.service import AlreadyLaunchedError, RunAgainRefusedError
from ami.jobs.states import JobFailedError
from ami.main.models import Deployment
from ami.users.models import User

CONFIRM, PLAN = "_shift", "_plan"


class ShiftForm(forms.Form):
    """The span of time, of which `shift` is the plan once the form is valid."""

    by = forms.CharField(
        label="Shift by",
        max_length=20,
        help_text="Hours and minutes that are added to all times, such as +1:30 or -0:15.",
    )

    def __init__(self, *args: Any, deployment: Deployment, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deployment = deployment
        self.shift: Shift | None = None

    def clean_by(self) -> str:
        by: str = self.cleaned_data["by"]
        try:
            self.shift = plan_shift(self.deployment, parse_shift(by))
        except ShiftRefusedError as refused:
            raise forms.ValidationError(str(refused)) from None
        return by


class ShiftOffers(JobOffers):
    """The deployment and the shift; shift the clock again."""

    name = "Shift of a clock"

    def scopes(self, jobs: Sequence[Job], user: Any) -> dict[int, str]:
        asked = {job.pk: stored_id(job.parameters.get("deployment")) for job in jobs}
        rows = visible_rows_of(Deployment, user).in_bulk(filter(None, asked.values()))
        return {
            job: change_link(Deployment, pk, rows[pk]) if pk in rows else f"deployment {pk}"
            for job, pk in asked.items()
            if pk
        }

    def parameters(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        return [
            ("Deployment", self.scopes([job], user).get(job.pk, "")),
            ("Shifted by", job.parameters.get("by", "")),
        ]

    def may_run_again(self, job: Job, user: Any) -> bool:
        return bool(user.has_perm(CHANGE, job))

    def options_page(
        self, request: HttpRequest, jobs: Sequence[Job], *, site: AdminSite
    ) -> HttpResponse:
        """A page with the span and its plan, filled in with that of the Job."""
        if len(jobs) > 1:
            raise RunAgainRefusedError("Shift clocks again one at a time.")
        (job,) = jobs
        try:
            deployment = ShiftWork(job).deployment()
        except JobFailedError as gone:
            raise RunAgainRefusedError(str(gone)) from None
        if not request.user.has_perm(CHANGE, deployment):
            raise PermissionDenied
        posted = {CONFIRM, PLAN} & request.POST.keys()
        form = ShiftForm(request.POST if posted else job.parameters, deployment=deployment)
        if form.is_valid() and form.shift and CONFIRM in posted:
            return _queue(request, form.shift)
        return _page(request, job, form, site=site)


def _queue(request: HttpRequest, shift: Shift) -> HttpResponse:
    try:
        job = queue_shift(
            shift,
            user=cast(User, request.user),
            reason=reason_of(request),
            launch_key=launch_key_of(request),
        )
    except AlreadyLaunchedError as launched:
        (pk, *_), text, level = launched.job_ids, "submitted before, and", messages.WARNING
        messages.add_message(request, level, f"This form was {text} started Job {pk}.")
        return HttpResponseRedirect(change_url(Job, pk))
    record_run_again(request, [job.pk])
    messages.success(request, format_html("Started {}.", change_link(Job, job.pk)))
    return HttpResponseRedirect(change_url(Job, job.pk))


def _page(request: HttpRequest, job: Job, form: ShiftForm, *, site: AdminSite) -> HttpResponse:
    return TemplateResponse(
        request,
        "admin/exchange/shift.html",
        {
            **again_context(request, job, site=site, title=f"Shift the clock of {form.deployment}"),
            "deployment": form.deployment,
            "adminform": AdminForm(form, [("Options", {"fields": ["by"]})], {}),  # type: ignore[arg-type]
            "sentences": form.shift.sentences() if form.shift else [],
            "confirm": CONFIRM,
            "plan": PLAN,
            "key_name": LAUNCH_KEY,
            "key": launch_key_of(request) or uuid4(),
        },
    )


OFFERS.register(JOB_TYPE, ShiftOffers())
