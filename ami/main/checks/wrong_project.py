"""Captures whose project differs from their deployment's project."""

from collections.abc import Iterable

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.models import Deployment, SourceImage


def get_captures_in_wrong_project(
    project_id: int | None = None,
    job_id: int | None = None,
    capture_ids: Iterable[int] | None = None,
) -> QuerySet[SourceImage]:
    """Captures with another project than their deployment; `project_id` may be either one."""
    rows = SourceImage.objects.filter(
        Q(project=None) | ~Q(project=F("deployment__project")), deployment__project__isnull=False
    )
    if project_id is not None:
        rows = rows.filter(Q(project=project_id) | Q(deployment__project=project_id))
    return in_scope(rows, job_id=job_id, ids=capture_ids)


def _follow_deployment(ids: list[int]) -> None:
    """Set the project of the deployment."""
    deployment = Deployment.objects.filter(pk=OuterRef("deployment"))
    get_captures_in_wrong_project().filter(pk__in=ids).update(
        project=Subquery(deployment.values("project")), updated_at=Now()
    )


PAIR = Pair(get_captures_in_wrong_project, _follow_deployment)
reconcile_wrong_projects = reconciler("reconcile_wrong_projects", PAIR)

register(
    Check(
        key="wrong_project",
        title="Capture in the wrong project",
        severity=Severity.ERROR,
        tag=Tag.CAPTURES,
        pairs=(PAIR,),
        meaning=(
            "The capture belongs to another project than its deployment, or to none. Members of "
            "one project see captures of the other."
        ),
        cause=(
            "The deployment was moved to another project, or captures were imported into the wrong "
            "project."
        ),
        repair="Sets the capture's project to that of its deployment.",
        limits=(
            "Occurrences and nights keep their projects. If the detections of an occurrence are "
            "then in different projects, [Occurrence that cannot be one "
            "individual](split_occurrence.md) reports it. Captures of deployments without a "
            "project are not checked."
        ),
    )
)
