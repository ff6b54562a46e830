"""Rows whose column of the project is not that of their capture or occurrence."""

from collections.abc import Iterable
from typing import TypeVar

from django.db.models import F, Model, OuterRef, Q, QuerySet, Subquery

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
from ami.main.checks.on_captures import FAULTS
from ami.main.checks.scopes import chosen, in_scope
from ami.main.models import Classification, Detection, Identification, Occurrence, SourceImage

M = TypeVar("M", bound=Model)


def get_detections_with_stale_project(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
) -> QuerySet[Detection]:
    """Detections with another project than their capture; `project_id` may be either one."""
    rows = chosen(Detection.objects.all(), detection_ids)
    return in_scope(_astray(rows, "source_image__project", project_id), job_id=job_id)


def get_classifications_with_stale_project(
    project_id: int | None = None,
    job_id: int | None = None,
    classification_ids: Iterable[int] | None = None,
) -> QuerySet[Classification]:
    """Classifications with another project than their capture; `project_id` may be either one."""
    rows = chosen(Classification.objects.all(), classification_ids)
    return in_scope(_astray(rows, "detection__source_image__project", project_id), job_id=job_id)


def get_identifications_with_stale_project(
    project_id: int | None = None,
    job_id: int | None = None,
    identification_ids: Iterable[int] | None = None,
) -> QuerySet[Identification]:
    """Identifications with another project than their occurrence; `project_id` may be either."""
    rows = chosen(Identification.objects.all(), identification_ids)
    return in_scope(_astray(rows, "occurrence__project", project_id), job_id=job_id)


def _astray(rows: QuerySet[M], project: str, project_id: int | None) -> QuerySet[M]:
    rows = rows.exclude(project=F(project)).exclude(**{"project": None, project: None})
    if project_id is None:
        return rows
    return rows.filter(Q(project=project_id) | Q(**{project: project_id}))


def _follow_captures(ids: list[int]) -> None:
    """Set the project of the capture; a trigger sets that of the classifications."""
    capture = SourceImage.objects.filter(pk=OuterRef("source_image"))
    rows = get_detections_with_stale_project(detection_ids=ids).values("pk")
    Detection.objects.filter(pk__in=rows).update(project=Subquery(capture.values("project")))


def _follow_detections(ids: list[int]) -> None:
    """Set the project of the capture, which the detection has by now."""
    capture = SourceImage.objects.filter(detections=OuterRef("detection"))
    rows = get_classifications_with_stale_project(classification_ids=ids).values("pk")
    Classification.objects.filter(pk__in=rows).update(project=Subquery(capture.values("project")))


def _follow_occurrences(ids: list[int]) -> None:
    """Set the project of the occurrence."""
    occurrence = Occurrence.objects.filter(pk=OuterRef("occurrence"))
    rows = get_identifications_with_stale_project(identification_ids=ids).values("pk")
    Identification.objects.filter(pk__in=rows).update(
        project=Subquery(occurrence.values("project"))
    )


DETECTIONS = Pair(
    get_detections_with_stale_project, _follow_captures, one_pass=OnePass(FAULTS, "detection")
)
CLASSIFICATIONS = Pair(
    get_classifications_with_stale_project,
    _follow_detections,
    one_pass=OnePass(FAULTS, "classification"),
)
IDENTIFICATIONS = Pair(get_identifications_with_stale_project, _follow_occurrences)
reconcile_detection_projects = reconciler("reconcile_detection_projects", DETECTIONS)
reconcile_classification_projects = reconciler("reconcile_classification_projects", CLASSIFICATIONS)
reconcile_identification_projects = reconciler("reconcile_identification_projects", IDENTIFICATIONS)

register(
    Check(
        key="stale_project",
        title="Stale project",
        severity=Severity.ERROR,
        tag=Tag.CAPTURES,
        pairs=(DETECTIONS, CLASSIFICATIONS, IDENTIFICATIONS),
        meaning=(
            "The project stored with a detection or a classification is not that of its capture, "
            "or the project stored with an identification is not that of its occurrence. Members "
            "of one project see rows of the other, or miss rows of their own."
        ),
        cause="Rows were written while the triggers that keep the column were disabled.",
        repair="Sets the project to that of the capture or of the occurrence.",
        limits=(
            "The repair is not in the journal, because the column follows from the capture or from "
            "the occurrence."
        ),
    )
)
