"""One page about a project for its members: what was run on it, and what that changed."""

from typing import Any, NamedTuple, cast

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from ami.base.access import visible
from ami.base.admin import page_context
from ami.base.links import list_url
from ami.base.sections import Section, sections_of
from ami.jobs.admin.pages import page_url
from ami.jobs.journal.revert import reverts_of
from ami.jobs.journal.transitions import Transition, transitions_of
from ami.jobs.models import Job, JobChange
from ami.jobs.service import LAUNCH
from ami.jobs.states import FINAL, STOPPED_SHORT, Outcome
from ami.main.access import Role, roles_of
from ami.main.admin.runs import UNKNOWN, describe_runs
from ami.main.admin.runs import Run as Described
from ami.main.models import Deployment, Project, SourceImageCollection
from ami.ml.post_processing.class_masking.task import ClassMaskingTask
from ami.ml.post_processing.service import JOB_TYPE

PROJECTS, RUNS, SETS, TRANSITIONS = 100, 5, 100, 3
AT_ONCE = 50
DONE = (Outcome.SUCCEEDED, Outcome.PROBLEMS)
UPDATED = "occurrences_updated"
# A larger run would take longer to sum up than the page; its own page has the whole.
MOST_UPDATED = 20_000
COUNTS = ("captures_count", "detections_count", "occurrences_count")


SECTIONS: list[Section] = []


class Run(NamedTuple):
    """A run whose changes stand; `is_part` tells that it ended before all rows were done."""

    job: Job
    is_part: bool
    method: str
    options: list[tuple[str, SafeString]]
    updated: int
    transitions: list[Transition]
    url: str
    changes_url: str


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
        runs = in_force(_runs_of(project), RUNS + 1)
        context = {
            "project": project,
            "role": role_of(request, project),
            "counts": Deployment.objects.filter(project=project).aggregate(
                **{name: Sum(name, default=0) for name in COUNTS}
            ),
            "runs": _described(runs[:RUNS], request.user),
            "has_more": len(runs) > RUNS,
            "jobs_url": list_url(Job, project__id__exact=project.pk),
            "may_open": request.user.is_staff,
            "may_launch": request.user.is_staff and request.user.has_perm(LAUNCH, project),
            "sections": sections_of(SECTIONS, request, project),
            **_masking(project, request.user),
        }
        return self._page(request, "overview.html", project.name, context)

    def _projects(self, request: HttpRequest) -> QuerySet[Project]:
        return cast("QuerySet[Project]", visible(Project.objects.all(), request.user))

    def _page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any]
    ) -> HttpResponse:
        frame = {
            **page_context(self, request, title=title),
            "is_nav_sidebar_enabled": False,
        }
        return render(request, f"admin/main/project/{template}", frame | context)


def overview_url(project: Project) -> str:
    return reverse("admin:main_project_overview", args=[project.pk])


def role_of(request: HttpRequest, project: Project) -> str:
    access = roles_of(request.user).get(project.pk)
    return Role(access.role).label if access else "Administrator"


def in_force(jobs: QuerySet[Job], number: int) -> list[Job]:
    """Return the newest of the Jobs that have not been reverted, at most `number` of them."""
    found: list[Job] = []
    start = 0
    newest = jobs.select_related("user").order_by("-pk")
    while len(found) < number and (read := list(newest[start : start + AT_ONCE])):
        undone = reverts_of([job.pk for job in read])
        found += [job for job in read if job.pk not in undone]
        start += AT_ONCE
    return found[:number]


def _methods_of(project: Project) -> QuerySet[Job]:
    return Job.objects.filter(project=project, job_type_key=JOB_TYPE, dry_run=False)


def _runs_of(project: Project) -> QuerySet[Job]:
    """The Jobs that have run a method to its end, or were stopped after they had changed rows."""
    wrote = Q(Exists(JobChange.objects.filter(job=OuterRef("pk"))), status__in=STOPPED_SHORT)
    return _methods_of(project).filter(wrote | Q(outcome__in=DONE))


def _described(jobs: list[Job], user: Any) -> list[Run]:
    runs = describe_runs(jobs, user=user)
    return [_run(job, runs.get(job.pk, UNKNOWN)) for job in jobs]


def _run(job: Job, described: Described) -> Run:
    updated = sum(
        param.value
        for stage in job.progress.stages
        for param in stage.params
        if param.key == UPDATED and isinstance(param.value, int)
    )
    return Run(
        job=job,
        is_part=job.status in STOPPED_SHORT,
        method=described.name or str(job.parameters.get("task")),
        options=described.options,
        updated=updated,
        transitions=transitions_of(job, most=TRANSITIONS) if 0 < updated <= MOST_UPDATED else [],
        url=page_url(job),
        changes_url=list_url(JobChange, job__id__exact=job.pk, table="main.occurrence"),
    )


def _masking(project: Project, user: Any) -> dict[str, Any]:
    """Whether masking is on, and from what it can be switched on: a former run or a capture set.

    `switching` is a Job that masks, or reverts masking, and has not ended.
    """
    masks = {"params__task": ClassMaskingTask.key}
    active = Job.objects.filter(project=project, dry_run=False).exclude(status__in=FINAL)
    is_masking = Q(**masks) | Q(reverts__params__task=ClassMaskingTask.key)
    found = {"switching": active.filter(is_masking).order_by("pk").first()}
    if masked := in_force(_runs_of(project).filter(**masks), RUNS):
        described = describe_runs(masked, user=user)
        return found | {
            "masked": [
                {
                    "job": job,
                    "options": described.get(job.pk, UNKNOWN).options[:2],
                    "revert_url": reverse("admin:jobs_job_revert", args=[job.pk]),
                }
                for job in masked
            ]
        }
    former = _runs_of(project).filter(**masks).order_by("-pk").first()
    if former:
        return found | {"again_url": reverse("admin:jobs_job_run_again", args=[former.pk])}
    sets = SourceImageCollection.objects.filter(project=project).order_by("name", "pk")
    return found | {"sets": sets.only("name")[:SETS], "sets_url": list_url(SourceImageCollection)}
