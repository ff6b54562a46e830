"""What the page of a Job says about an export."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ami.base.access import visible_rows_of
from ami.base.ids import stored_id
from ami.base.links import change_link, change_url
from ami.base.registry import UnknownKeyError
from ami.base.words import counted
from ami.exchange.admin.again import again_context
from ami.exchange.admin.export import file_link, problems_of
from ami.exchange.admin.export_page import CONFIRM, ExportForm, page, queue
from ami.exchange.admin.formats import format_name
from ami.exchange.models import Export
from ami.exchange.work import EXPORT, JOB_TYPE, LIMITS, ExportWork, scope_of
from ami.jobs.admin.offers import OFFERS, JobOffers
from ami.jobs.models import Job
from ami.jobs.service import RunAgainRefusedError
from ami.jobs.states import JobFailedError
from ami.main.models import Project


class ExportOffers(JobOffers):
    """The scope and the file of an export; export the same rows again."""

    name = "Export"

    def scopes(self, jobs: Sequence[Job], user: Any) -> dict[int, str]:
        named: dict[tuple[str, int], str] = {}
        for key, model in LIMITS.items():
            ids = {stored_id(job.parameters.get(key)) for job in jobs} - {None}
            rows = visible_rows_of(model, user).filter(pk__in=ids)
            named |= {(key, row.pk): change_link(model, row.pk, row) for row in rows}
        return {job.pk: _scope(job, named) for job in jobs}

    def options_page(
        self, request: HttpRequest, jobs: Sequence[Job], *, site: AdminSite
    ) -> HttpResponse:
        """The page of the action “Export…”, for the rows of the Job; on its POST, a new Job."""
        if len(jobs) > 1:
            raise RunAgainRefusedError("Run exports again one at a time.")
        (job,) = jobs
        if not self.may_run_again(job, request.user):
            raise PermissionDenied
        try:
            scopes, work = [scope_of(job)], ExportWork(job)
        except (JobFailedError, UnknownKeyError) as gone:
            raise RunAgainRefusedError(str(gone)) from None
        is_confirmed = CONFIRM in request.POST
        options = {"form": work.form.key, **work.options.dict()}
        form = ExportForm(request.POST if is_confirmed else None, initial=options)
        if is_confirmed and (ids := queue(request, form, scopes)):
            return HttpResponseRedirect(change_url(Job, ids[0]))
        return page(request, form, scopes, **again_context(request, job, site=site, title="Export"))

    def may_run_again(self, job: Job, user: Any) -> bool:
        return bool(user.has_perm(EXPORT, job))

    def parameters(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        if not job.parameters:
            return []
        told = [
            ("Format", format_name(str(job.parameters.get("format")))),
            ("Scope", self.scopes([job], user)[job.pk]),
        ]
        options = job.parameters.get("options")
        if isinstance(options, dict) and options.get("media_url"):
            told.append(("Media URL", options["media_url"]))
        return told

    def results(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        export = Export.objects.filter(job=job).defer("occurrence_ids").first()
        if export is None:
            return [("File", "It has expired and was deleted.")]
        if export.size is None:
            return []
        if not export.is_available:
            return [("File", "It has expired.")]
        told = [("File", file_link(export)), ("Kept until", export.expires_at)]
        if export.problems:
            told.append(("Not carried", problems_of(export)))
        return told


def _scope(job: Job, named: dict[tuple[str, int], str]) -> str:
    if (number := stored_id(job.parameters.get("occurrences"))) is not None:
        return counted(number, "selected occurrence")
    for key, model in LIMITS.items():
        if (pk := stored_id(job.parameters.get(key))) is not None:
            return named.get((key, pk)) or f"{model._meta.verbose_name} {pk}".capitalize()
    return change_link(Project, job.project_id, job.project)


OFFERS.register(JOB_TYPE, ExportOffers())
