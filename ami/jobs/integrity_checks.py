"""Rows that belong to no project, which only superusers see."""

from collections.abc import Iterable
from typing import TypeVar

from django.db.models import Model, QuerySet

from ami.jobs.models import Job
from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import chosen, in_scope
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    SourceImage,
)

M = TypeVar("M", bound=Model)
Ids = Iterable[int] | None


def get_deployments_without_project(
    project_id: int | None = None, job_id: int | None = None, deployment_ids: Ids = None
) -> QuerySet[Deployment]:
    """Deployments without a project; in a project, those of its captures."""
    rows = Deployment.objects.filter(project=None)
    if project_id is not None:
        captures = SourceImage.objects.filter(project=project_id)
        rows = rows.filter(pk__in=captures.values("deployment"))
    return in_scope(rows, job_id=job_id, ids=deployment_ids)


def get_nights_without_project(
    project_id: int | None = None, job_id: int | None = None, event_ids: Ids = None
) -> QuerySet[Event]:
    """Nights without a project; in a project, those of its deployments."""
    return _of_deployments(Event.objects.all(), "", project_id, job_id, event_ids)


def get_captures_without_project(
    project_id: int | None = None, job_id: int | None = None, capture_ids: Ids = None
) -> QuerySet[SourceImage]:
    """Captures without a project; in a project, those of its deployments."""
    return _of_deployments(SourceImage.objects.all(), "", project_id, job_id, capture_ids)


def get_detections_without_project(
    project_id: int | None = None, job_id: int | None = None, detection_ids: Ids = None
) -> QuerySet[Detection]:
    """Detections without a project; in a project, those of its deployments."""
    rows = Detection.objects.all()
    return _of_deployments(rows, "source_image__", project_id, job_id, detection_ids)


def get_classifications_without_project(
    project_id: int | None = None, job_id: int | None = None, classification_ids: Ids = None
) -> QuerySet[Classification]:
    """Classifications without a project; in a project, those of its deployments."""
    rows = Classification.objects.all()
    return _of_deployments(
        rows, "detection__source_image__", project_id, job_id, classification_ids
    )


def get_occurrences_without_project(
    project_id: int | None = None, job_id: int | None = None, occurrence_ids: Ids = None
) -> QuerySet[Occurrence]:
    """Occurrences without a project; in a project, those of its deployments."""
    return _of_deployments(Occurrence.objects.all(), "", project_id, job_id, occurrence_ids)


def get_identifications_without_project(
    project_id: int | None = None, job_id: int | None = None, identification_ids: Ids = None
) -> QuerySet[Identification]:
    """Identifications without a project; in a project, those of its deployments."""
    rows = Identification.objects.all()
    return _of_deployments(rows, "occurrence__", project_id, job_id, identification_ids)


def get_jobs_without_project(
    project_id: int | None = None, job_id: int | None = None, job_ids: Ids = None
) -> QuerySet[Job]:
    """Runs of methods without a project; in a project, those that wrote its classifications."""
    rows = chosen(Job.objects.filter(project=None, params__has_key="task"), job_ids)
    if project_id is not None:
        written = Classification.objects.filter(project=project_id, job__isnull=False)
        rows = rows.filter(pk__in=written.values("job"))
    return rows if job_id is None else rows.filter(pk=job_id)


def _of_deployments(
    rows: QuerySet[M], path: str, project_id: int | None, job_id: int | None, ids: Ids
) -> QuerySet[M]:
    rows = rows.filter(project=None)
    if project_id is not None:
        rows = rows.filter(**{f"{path}deployment__project": project_id})
    return in_scope(rows, job_id=job_id, ids=ids)


DEPLOYMENTS = Pair(get_deployments_without_project)
NIGHTS = Pair(get_nights_without_project)
CAPTURES = Pair(get_captures_without_project)
DETECTIONS = Pair(get_detections_without_project)
CLASSIFICATIONS = Pair(get_classifications_without_project)
OCCURRENCES = Pair(get_occurrences_without_project)
IDENTIFICATIONS = Pair(get_identifications_without_project)
JOBS = Pair(get_jobs_without_project)
reconcile_deployments_without_project = reconciler(
    "reconcile_deployments_without_project", DEPLOYMENTS
)
reconcile_nights_without_project = reconciler("reconcile_nights_without_project", NIGHTS)
reconcile_captures_without_project = reconciler("reconcile_captures_without_project", CAPTURES)
reconcile_detections_without_project = reconciler(
    "reconcile_detections_without_project", DETECTIONS
)
reconcile_classifications_without_project = reconciler(
    "reconcile_classifications_without_project", CLASSIFICATIONS
)
reconcile_occurrences_without_project = reconciler(
    "reconcile_occurrences_without_project", OCCURRENCES
)
reconcile_identifications_without_project = reconciler(
    "reconcile_identifications_without_project", IDENTIFICATIONS
)
reconcile_jobs_without_project = reconciler("reconcile_jobs_without_project", JOBS)

register(
    Check(
        key="without_project",
        title="Row without a project",
        severity=Severity.WARNING,
        tag=Tag.CAPTURES,
        pairs=(
            DEPLOYMENTS,
            NIGHTS,
            CAPTURES,
            DETECTIONS,
            CLASSIFICATIONS,
            OCCURRENCES,
            IDENTIFICATIONS,
            JOBS,
        ),
        meaning=(
            "The deployment, night, capture, detection, classification, occurrence, "
            "identification or run of a method belongs to no project. Only superusers see it."
        ),
        cause=(
            "The row was imported or added without a project, or a method was run on rows "
            "without one."
        ),
        repair=None,
        limits=(
            "Set the project of the deployment, night, capture, occurrence or Job. Detections and "
            "classifications have the project of their capture, and identifications that of their "
            "occurrence. [Capture in the wrong "
            "project](wrong_project.md) repairs captures whose deployment has a project. Repairs "
            "and reverts may belong to no project, and are not reported."
        ),
    )
)
