"""The restriction of a check to a project, or to the rows that a run has classified."""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from django.db.models import Model, QuerySet

from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    SourceImage,
    Taxon,
)

M = TypeVar("M", bound=Model)


def chosen(rows: QuerySet[M], ids: Iterable[int] | None) -> QuerySet[M]:
    """Return the rows with these ids, or all rows if `ids` is None."""
    return rows if ids is None else rows.filter(pk__in=list(ids))


class Way(NamedTuple):
    """From a row to its project, and from a classification to the row."""

    project: str
    row: str


WAYS: dict[type[Model], Way] = {
    Classification: Way("project", "pk"),
    Detection: Way("project", "detection"),
    Identification: Way("project", "detection__occurrence__identifications"),
    Occurrence: Way("project", "detection__occurrence"),
    SourceImage: Way("project", "detection__source_image"),
    Event: Way("project", "detection__source_image__event"),
    Deployment: Way("project", "detection__source_image__deployment"),
    Taxon: Way("projects", "taxon"),
}


def in_scope(
    rows: QuerySet[M],
    project_id: int | None = None,
    job_id: int | None = None,
    ids: Iterable[int] | None = None,
) -> QuerySet[M]:
    """Return the rows of the project, with a classification of the Job, and with these ids."""
    way = WAYS[rows.model]
    rows = chosen(rows, ids)
    scope: dict[str, Any] = {}
    if project_id is not None:
        scope[way.project] = project_id
    if job_id is not None:
        scope["pk__in"] = Classification.objects.filter(job=job_id).values(way.row)
    return rows.filter(**scope)
