"""The page of all methods: what each does, where it can be started, and its last runs."""

from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from ami.base.links import change_link, list_url
from ami.jobs.admin.pages import badges
from ami.jobs.models import Job
from ami.ml.post_processing.admin.forms import bounds_of
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.scopes import label_of, options_of, scopes_of
from ami.ml.post_processing.service import JOB_TYPE, run_permission

RUNS = 5


class Option(NamedTuple):
    label: str
    help_text: str


class Run(NamedTuple):
    job: str
    state: SafeString
    started: Any


class Method(NamedTuple):
    """A method as the page lists it; `may_run` says whether the person may run it anywhere.

    `docs` is the address of its documentation, empty if it is unknown.
    """

    key: str
    name: str
    description: str
    docs: str
    options: list[Option]
    lists: list[tuple[str, str]]
    runs: list[Run]
    may_run: bool


def methods_page(request: HttpRequest) -> HttpResponse:
    """List every registered method; of the runs, those that the person may see."""
    context = {
        **admin.site.each_context(request),
        "title": "Methods",
        "methods": [_method(task_cls, request.user) for task_cls in POSTPROCESSING_TASKS.values()],
    }
    return TemplateResponse(request, "admin/post_processing/methods.html", context)


def _method(task_cls: type[BasePostProcessingTask], user: Any) -> Method:
    jobs = Job.objects.for_user(user).filter(job_type_key=JOB_TYPE, params__task=task_cls.key)
    return Method(
        task_cls.key,
        task_cls.name,
        task_cls.description,
        _docs(task_cls),
        [
            Option(label_of(one), f"{one.field_info.description or ''} {bounds_of(one)}".strip())
            for one in options_of(task_cls.config_schema)
        ],
        [
            (str(scope.model._meta.verbose_name_plural).capitalize(), list_url(scope.model))
            for scope in scopes_of(task_cls.config_schema)
        ],
        [
            Run(change_link(Job, job.pk, f"Job {job.pk}: {job.name}"), badges(job), job.created_at)
            for job in jobs.order_by("-pk")[:RUNS]
        ],
        user.has_perm(run_permission(task_cls)),
    )


def _docs(task_cls: type[BasePostProcessingTask]) -> str:
    if not task_cls.docs:
        return ""
    address = urljoin(getattr(settings, "DOCS_URL", ""), task_cls.docs)
    return address if urlsplit(address).scheme in {"http", "https"} else ""
