"""The page that starts a repair as a Job, and explains what it does and never does."""

import re
from typing import Any, cast
from urllib.parse import urlencode
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from ami.base.admin import LargeTableAdmin, page_context
from ami.base.audit import Kind, reason_of
from ami.base.storable import storable_text
from ami.base.widgets import IdSelect
from ami.integrity.finding import Scope
from ami.integrity.models import IntegrityRun
from ami.integrity.service import new_repair
from ami.jobs.models import Job
from ami.jobs.service import LAUNCH, AlreadyLaunchedError, create_jobs
from ami.main.checks.declarations import CHECKS, Check, chosen_checks
from ami.main.models import Project
from ami.users.models import User

KEY_LENGTH = 64
LINK = re.compile(r"\[([^]]+)]\([^)]*\)")
NEVER = (
    "A repair never changes or deletes identifications, and never deletes rows made by people.",
    "If a project is chosen, a repair never changes rows of other projects.",
    "A repair never changes rows for which only a person can decide what is correct.",
)


class RepairForm(forms.Form):
    """The checks to repair, and the scope."""

    checks = forms.MultipleChoiceField(
        choices=lambda: [(check.key, check.title) for check in repairable()],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one check."},
    )
    project = forms.ModelChoiceField(
        Project.objects.all(),
        required=False,
        widget=IdSelect(IntegrityRun._meta.get_field("project"), admin.site),
        help_text="Empty for all projects.",
    )
    dry_run = forms.BooleanField(
        required=False,
        help_text="Write nothing. The page of the Job shows what the repair would change.",
    )
    job = forms.ModelChoiceField(Job.objects.all(), required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["project"].queryset = Project.objects.for_user(user, LAUNCH)
        fields["job"].queryset = Job.objects.for_user(user, LAUNCH)
        if not user.is_superuser:
            fields["project"].required = True
            fields["project"].help_text = ""

    def clean(self) -> dict[str, Any] | None:
        job, project = self.cleaned_data.get("job"), self.cleaned_data.get("project")
        if job and project and job.project_id != project.pk:
            raise forms.ValidationError(f"Job {job.pk} does not belong to the project {project}.")
        return super().clean()


class RepairMixin(LargeTableAdmin[IntegrityRun]):
    def repair_view(self, request: HttpRequest) -> HttpResponse:
        """A GET request shows the form; a POST request starts the Job once."""
        if not self._may_repair(request):
            raise PermissionDenied
        asked = storable_text(request.POST.get("launch_key", ""))
        launch_key = asked[:KEY_LENGTH] or uuid4().hex
        form = RepairForm(request.POST or None, initial=_initial(request), user=request.user)
        if request.method == "POST" and form.is_valid():
            return self._start(request, form, launch_key)
        context = {
            **page_context(self, request, title="Repair"),
            "media": self.media + form.media,
            "form": form,
            "launch_key": launch_key,
            "checks": [
                (check, plain(check.repair or ""), plain(check.limits)) for check in repairable()
            ],
            "chosen": form["checks"].value() or [],
            "never": NEVER,
        }
        return render(request, "admin/integrity/integrityrun/repair.html", context)

    def _may_repair(self, request: HttpRequest) -> bool:
        may_start = request.user.has_perms([LAUNCH, "jobs.view_job"])
        return self.has_view_permission(request) and may_start

    def _start(self, request: HttpRequest, form: RepairForm, launch_key: str) -> HttpResponse:
        chosen = form.cleaned_data
        scope = Scope(_pk(chosen["project"]), _pk(chosen["job"]))
        checks = chosen_checks(keys=chosen["checks"])
        job = new_repair(
            checks,
            scope=scope,
            user=cast(User, request.user),
            launch_key=launch_key,
            dry_run=chosen["dry_run"],
        )
        try:
            create_jobs([job], kind=Kind.REPAIR, reason=reason_of(request))
        except AlreadyLaunchedError as launched:
            job = Job(pk=launched.job_ids[0])
            text = f"This page has already started Job {job.pk}; no new Job was started."
            self.message_user(request, text, messages.WARNING)
        else:
            self.message_user(request, f"Started Job {job.pk}.")
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job.pk]))


def repairable() -> list[Check]:
    return [check for check in chosen_checks() if check.repair]


def repair_url(keys: list[str], *, project: int | None, job: int | None) -> str:
    """The page of repairs, filled in with these checks and this scope."""
    options = {"check": keys, "project": project, "job": job}
    query = urlencode({name: value for name, value in options.items() if value}, doseq=True)
    return f"{reverse('admin:integrity_integrityrun_repair')}?{query}"


def plain(markdown: str) -> str:
    """Remove links and code marks from the Markdown of a declaration."""
    return LINK.sub(r"\1", markdown).replace("`", "")


def _initial(request: HttpRequest) -> dict[str, Any]:
    keys = [key for key in request.GET.getlist("check") if key in CHECKS]
    return {
        "checks": keys or [check.key for check in repairable()],
        "project": request.GET.get("project"),
        "job": request.GET.get("job"),
    }


def _pk(row: Project | Job | None) -> int | None:
    return row.pk if row else None
