"""The rows with which an import compares its file, and what became of them since a dry run."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Count, QuerySet, Sum

from ami.base.words import counted
from ami.exchange.importing.rights import list_of
from ami.jobs.models import Job
from ami.main.access import project_lookup
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Identification,
    Occurrence,
    SourceImage,
    TaxaList,
    Taxon,
)

OF_PROJECT = (Deployment, SourceImage, Detection, Classification, Occurrence, Identification)
MEMBERS = "members"


def rows_there(job: Job) -> dict[str, Any]:
    """Return how many rows of each table the import compares with, as JSON.

    Only those count that are older than the Job, so that later ones do not hide deletions. For a
    name list, `members` has the number of taxa in the list, and the sum of their ids.
    """
    there: dict[str, Any] = {
        str(rows.model._meta.model_name): rows.filter(created_at__lte=job.started_at).count()
        for rows, _ in _compared(job)
    }
    if list_of(job) is not None:
        members = _list(job).aggregate(number=Count("taxa"), ids=Sum("taxa"))
        there[MEMBERS] = [members["number"], int(members["ids"] or 0)]
    return there


def changes_since(job: Job, there: dict[str, Any]) -> Iterator[str]:
    """Yield one sentence per table and kind of change since `job` began.

    `there` is what :func:`rows_there` returned then; it may lack tables.
    """
    present = rows_there(job)
    for rows, where in _compared(job):
        meta = rows.model._meta
        gone = there.get(str(meta.model_name), 0) - present[str(meta.model_name)]
        written = rows.filter(updated_at__gt=job.started_at).count()
        for number, what in ((written, "added or changed"), (gone, "deleted")):
            if number > 0:
                nouns = str(meta.verbose_name), str(meta.verbose_name_plural)
                yield f"{counted(number, *nouns)}{where} {what} since."
    if MEMBERS in there and there[MEMBERS] != present[MEMBERS]:
        (then, _), (now, _) = there[MEMBERS], present[MEMBERS]
        told = f"held {counted(then, 'taxon', 'taxa')}, and now holds {now:,}"
        yield f"The taxa list {told if then != now else 'holds other taxa than before'}."


def _compared(job: Job) -> Iterator[tuple[QuerySet[Any], str]]:
    """The rows by table, and where they are."""
    if list_of(job) is not None:
        yield Taxon.objects.all(), ""
        yield _list(job), ""
    elif job.project_id is not None:
        for model in OF_PROJECT:
            rows: QuerySet[Any] = model.objects.filter(**{project_lookup(model): job.project_id})
            yield rows, " of the project"


def _list(job: Job) -> QuerySet[TaxaList]:
    return TaxaList.objects.filter(name=list_of(job))
