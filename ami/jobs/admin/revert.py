"""The page that shows what a revert will do and asks for confirmation."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from ami.base.audit import reason_of
from ami.base.ids import stored_id, stored_ids
from ami.base.links import change_link
from ami.jobs.admin.left import left_of
from ami.jobs.admin.offers import OFFERS, JobOffers, offers_for
from ami.jobs.admin.pages import JobPagesMixin, operator_of, page_url
from ami.jobs.journal.revert import (
    JOB_TYPE,
    RevertRefusedError,
    foretell,
    refusal,
    request_foretelling,
    request_revert,
    standing_revert,
)
from ami.jobs.models import Job, JobChange
from ami.jobs.service import LAUNCH
from ami.main.models import Occurrence

AT_ONCE = 20_000  # the most changes whose revert the page computes itself
FORETELL = "_foretell"


class RevertOffers(JobOffers):
    """What the admin tells of reverts."""

    name = "Revert"

    def scopes(self, jobs: Sequence[Job], user: Any) -> dict[int, str]:
        return {job.pk: change_link(Job, _reverted(job)) for job in jobs}

    def parameters(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        told: list[tuple[str, Any]] = [("Job", change_link(Job, _reverted(job)))]
        only = stored_ids(job.parameters.get("occurrences"))
        return told + [("Only", change_link(Occurrence, pk)) for pk in only]

    def may_revert(self, job: Job, user: Any) -> bool:
        former = Job.objects.filter(pk=_reverted(job) or 0).first()
        return former is None or offers_for(former).may_revert(former, user)


OFFERS.register(JOB_TYPE, RevertOffers())


def _reverted(job: Job) -> int | None:
    """The id of the Job that a revert undoes, or would undo; None if it was deleted."""
    return job.reverts_id or stored_id(job.parameters.get("job"))


class RevertMixin(JobPagesMixin):
    """Revert a Job in two steps: a confirmation page, then a new Job."""

    def revert_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what the revert of a Job will do; a POST queues the revert or a dry run of it."""
        job = self._job(request, object_id)
        may_launch = request.user.has_perm(LAUNCH, job)
        if not (may_launch and offers_for(job).may_revert(job, request.user)):
            raise PermissionDenied
        if request.method == "POST":
            return self._revert(request, job)
        if reason := refusal(job):
            self.message_user(request, reason, messages.WARNING)
            return HttpResponseRedirect(page_url(job))
        context = {
            **self._frame(request, job, title=f"Revert Job {job.pk}"),
            **_foretold(job),
            "begun": standing_revert(job),
            "foretell_name": FORETELL,
        }
        return render(request, "admin/jobs/job/revert.html", context)

    def _revert(self, request: HttpRequest, job: Job) -> HttpResponse:
        is_dry_run = FORETELL in request.POST
        queue = request_foretelling if is_dry_run else request_revert
        try:
            revert = queue(job, user=operator_of(request), reason=reason_of(request))
        except RevertRefusedError as refused:
            self.message_user(request, str(refused), messages.WARNING)
            return HttpResponseRedirect(page_url(job))
        if is_dry_run:
            text = f"Job {revert.pk} is a dry run of the revert of Job {job.pk}. It writes nothing."
        else:
            text = f"Job {revert.pk} reverts Job {job.pk}."
        self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(page_url(revert))


def _foretold(job: Job) -> dict[str, Any]:
    """What the revert will do; for a large Job, the latest dry run of its revert instead."""
    changes = JobChange.objects.filter(job=job).exclude(kind=JobChange.Kind.LEFT)
    if changes[: AT_ONCE + 1].count() > AT_ONCE:
        dry_runs = Job.objects.filter(job_type_key=JOB_TYPE, dry_run=True, params__job=job.pk)
        return {"is_large": True, "dry_run": dry_runs.order_by("-pk").first()}
    try:
        undone = foretell(job)
    except OperationalError:
        return {"is_locked": True}
    rows = Counter[str]()
    for one in undone:
        rows[one.fate.replace(" ", "_")] += one.rows
    return {
        "rows": rows,
        "restored": rows["put_back"] + rows["removed"] + rows["restored"],
        "left": left_of(undone),
    }
