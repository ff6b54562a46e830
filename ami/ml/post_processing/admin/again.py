"""The page of a method's options, filled in with those of Jobs that have ended."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from ami.base.registry import UnknownKeyError
from ami.jobs.admin.offers import OFFERS, JobOffers
from ami.jobs.models import Job
from ami.jobs.service import RunAgainRefusedError
from ami.jobs.states import JobFailedError
from ami.ml.post_processing.admin import parameters
from ami.ml.post_processing.admin.actions import PostProcessingAction
from ami.ml.post_processing.admin.selection import MAX_ROWS
from ami.ml.post_processing.again import apply, can_apply
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import SCOPE_FIELDS, Scope, chosen_scope
from ami.ml.post_processing.service import JOB_TYPE, task_of
from ami.users.models import User


class MethodOffers(JobOffers):
    """Run again on the confirmation page, and apply dry runs; tell methods, scopes and options."""

    def method(self, job: Job) -> str:
        return parameters.method_of(job)

    def methods(self, job_type: str) -> dict[str, tuple[str, Q]]:
        return parameters.methods()

    def kinds_of_scope(self) -> dict[str, tuple[str, Q]]:
        return parameters.kinds_of_scope()

    def scopes(self, jobs: Sequence[Job], user: Any) -> dict[int, str]:
        return parameters.scope_links(jobs, user)

    def parameters(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        return parameters.parameters(job, user)

    def options_page(
        self, request: HttpRequest, jobs: Sequence[Job], *, site: AdminSite
    ) -> TemplateResponse:
        """The page that the admin action shows for the rows that the Jobs ran on."""
        task_cls, scope, ids, options = _shared(jobs)
        model_admin = site.get_model_admin(scope.model)
        offered: Any = model_admin.get_actions(request).get(f"run_{task_cls.key}")
        if offered is None or not model_admin.has_view_permission(request):
            raise PermissionDenied
        action: PostProcessingAction = offered[0]
        if not all(request.user.has_perm(action.permission, job) for job in jobs):
            raise PermissionDenied
        rows = model_admin.get_queryset(request).filter(pk__in=ids)
        page = action.filled_in(model_admin, request, rows, options=options)
        assert page.context_data is not None
        page.context_data |= {
            "is_dry_run": all(job.dry_run for job in jobs),
            "again": ",".join(str(job.pk) for job in jobs),
            "form_url": _url(site, scope.model, "changelist"),
            "cancel_url": _url(site, Job, "changelist")
            if len(jobs) > 1
            else _url(site, Job, "change", jobs[0].pk),
        }
        return page

    def can_apply(self, job: Job, user: Any) -> bool:
        return can_apply(job)

    def apply(self, job: Job, *, user: User | None, confirmed: bool) -> Job:
        return apply(job, user=user, confirmed=confirmed)


OFFERS.register(JOB_TYPE, MethodOffers())


def _url(site: AdminSite, model: type[Model], view: str, *args: int) -> str:
    opts = model._meta
    return reverse(f"{site.name}:{opts.app_label}_{opts.model_name}_{view}", args=args)


def _shared(
    jobs: Sequence[Job],
) -> tuple[type[BasePostProcessingTask], Scope, list[int], dict[str, Any]]:
    """The method, the scope, the ids of all rows, and the options that the Jobs share."""
    found = [_read(job) for job in jobs]
    first, ids = found[0], list[int]()
    for job, (task_cls, scope, own_ids, options) in zip(jobs, found, strict=True):
        if (task_cls, scope, options) != (first[0], first[1], first[3]):
            raise RunAgainRefusedError(
                f"Jobs {jobs[0].pk} and {job.pk} differ in method, options or type of rows; run "
                "them again one at a time."
            )
        ids += own_ids
    if len(ids) > MAX_ROWS:
        raise RunAgainRefusedError(
            f"Job {jobs[0].pk} ran on {len(ids)} {first[1].model._meta.verbose_name_plural}, and a "
            f"page takes at most {MAX_ROWS}: use `manage.py job run-again {jobs[0].pk}`."
        )
    return first[0], first[1], ids, first[3]


def _read(job: Job) -> tuple[type[BasePostProcessingTask], Scope, list[int], dict[str, Any]]:
    if job.job_type_key != JOB_TYPE:
        raise RunAgainRefusedError(f"Job {job.pk} is not a run of a method; run it again alone.")
    try:
        task = task_of(job)
        scope, ids, _ = chosen_scope(task.config)
    except (JobFailedError, UnknownKeyError) as gone:
        raise RunAgainRefusedError(f"Job {job.pk} cannot be run again: {gone}") from None
    config = job.params["config"]
    return type(task), scope, ids, {k: v for k, v in config.items() if k not in SCOPE_FIELDS}
