"""One page about a project for its members: what was run on it, and what that changed."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.db.models import Exists, OuterRef, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse

from ami.base.access import visible
from ami.base.links import list_url
from ami.jobs.admin.journal import Transition, transitions_of
from ami.jobs.admin.pages import page_url
from ami.jobs.models import Job, JobChange
from ami.jobs.service import LAUNCH
from ami.jobs.states import JobState, Outcome
from ami.main.access import Role, roles_of
from ami.main.models import Deployment, Project, SourceImageCollection
from ami.ml.post_processing.class_masking.task import ClassMaskingTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.scopes import written_options
from ami.ml.post_processing.service import JOB_TYPE

PROJECTS, RUNS, SETS, TRANSITIONS = 100, 5, 100, 3
UPDATED = "occurrences_updated"
# A larger run would take longer to sum up than the page; its own page has the whole.
MOST_UPDATED = 20_000
COUNTS = ("captures_count", "detections_count", "occurrences_count")


class Section(NamedTuple):
    """A further part of the page, by a higher layer: its template, and what returns its context."""

    template: str
    context: Callable[[HttpRequest, Project], dict[str, Any]]


SECTIONS: list[Section] = []


class Run(NamedTuple):
    """A run whose changes stand."""

    job: Job
    is_masking: bool
    method: str
    options: list[tuple[str, str]]
    updated: int
    transitions: list[Transition]
    url: str
    changes_url: str
    revert_url: str


class OverviewMixin(admin.ModelAdmin[Any]):
    """Adds the pages to the admin of projects. They need membership, and no staff status."""

    def get_urls(self) -> list[URLPattern]:
        return [
            path("overview/", self.overviews_view, name="main_project_overviews"),
            path("<int:pk>/overview/", self.overview_view, name="main_project_overview"),
            *super().get_urls(),
        ]

    def overviews_view(self, request: HttpRequest) -> HttpResponse:
        """List the person's projects, or lead to the only one."""
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        projects = list(self._projects(request).order_by("name", "pk")[: PROJECTS + 1])
        if len(projects) == 1:
            return HttpResponseRedirect(overview_url(projects[0]))
        context = {"projects": projects[:PROJECTS], "more": len(projects) > PROJECTS}
        return self._page(request, "overviews.html", "My projects", context)

    def overview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what was run on the project. Raises Http404 for all who are not its members."""
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        project = self._projects(request).filter(pk=pk).first() if pk < 2**63 else None
        if project is None:
            raise Http404
        runs = runs_in_force(project)
        context = {
            "project": project,
            "role": role_of(request, project),
            "counts": Deployment.objects.filter(project=project).aggregate(
                **{name: Sum(name, default=0) for name in COUNTS}
            ),
            "runs": runs[:RUNS],
            "has_more": len(runs) > RUNS,
            "jobs_url": list_url(Job, project__id__exact=project.pk),
            "may_open": request.user.is_staff,
            "may_launch": request.user.is_staff and request.user.has_perm(LAUNCH, project),
            "sections": [
                {"template": section.template, "context": section.context(request, project)}
                for section in SECTIONS
            ],
            **_masking(project, runs),
        }
        return self._page(request, "overview.html", project.name, context)

    def _projects(self, request: HttpRequest) -> QuerySet[Project]:
        return cast("QuerySet[Project]", visible(Project.objects.all(), request.user))

    def _page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any]
    ) -> HttpResponse:
        frame = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "media": self.media,
            "is_nav_sidebar_enabled": False,
        }
        return render(request, f"admin/main/project/{template}", frame | context)


def overview_url(project: Project) -> str:
    return reverse("admin:main_project_overview", args=[project.pk])


def role_of(request: HttpRequest, project: Project) -> str:
    access = roles_of(request.user).get(project.pk)
    return Role(access.role).label if access else "Administrator"


def runs_in_force(project: Project) -> list[Run]:
    """Return the latest runs of methods whose changes stand, at most `RUNS` + 1 of them."""
    jobs = (
        _runs_of(project)
        .exclude(Exists(_undoing()))
        .select_related("user")
        .order_by("-pk")[: RUNS + 1]
    )
    return [_run(job) for job in jobs]


def _runs_of(project: Project) -> QuerySet[Job]:
    return Job.objects.filter(
        project=project,
        job_type_key=JOB_TYPE,
        dry_run=False,
        outcome__in=[Outcome.SUCCEEDED, Outcome.PROBLEMS],
    )


def _undoing() -> QuerySet[Job]:
    """The Jobs that have undone a Job: they succeeded, and were not themselves reverted."""
    return Job.objects.filter(
        reverts=OuterRef("pk"), status=JobState.SUCCESS, dry_run=False, reverted_by=None
    )


def _run(job: Job) -> Run:
    key = str(job.params.get("task"))
    task_cls = POSTPROCESSING_TASKS.get(key)
    config = job.params.get("config")
    updated = sum(
        param.value
        for stage in job.progress.stages
        for param in stage.params
        if param.key == UPDATED and isinstance(param.value, int)
    )
    return Run(
        job=job,
        is_masking=key == ClassMaskingTask.key,
        method=str(task_cls.name) if task_cls else key,
        options=written_options(task_cls.config_schema, config) if task_cls else [],
        updated=updated,
        transitions=transitions_of(job, TRANSITIONS) if 0 < updated <= MOST_UPDATED else [],
        url=page_url(job),
        changes_url=list_url(JobChange, job__id__exact=job.pk, table="main.occurrence"),
        revert_url=reverse("admin:jobs_job_revert", args=[job.pk]),
    )


def _masking(project: Project, runs: list[Run]) -> dict[str, Any]:
    """Whether masking is on, and from what it can be switched on: a former run or a capture set."""
    masked = [run for run in runs if run.is_masking]
    if masked:
        return {"masked": masked}
    former = _runs_of(project).filter(params__task=ClassMaskingTask.key).order_by("-pk").first()
    if former:
        return {"again_url": reverse("admin:jobs_job_run_again", args=[former.pk])}
    sets = SourceImageCollection.objects.filter(project=project).order_by("name", "pk")
    return {"sets": sets.only("name")[:SETS], "sets_url": list_url(SourceImageCollection)}
