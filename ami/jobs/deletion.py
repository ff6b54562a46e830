"""What must not be deleted while a Job that needs it has not ended."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils.html import format_html
from django.utils.text import Truncator

from ami.base.deletion import DELETION_GUARDS
from ami.base.links import change_link
from ami.jobs.models import Job
from ami.jobs.states import FINAL
from ami.main.models import Project, TaxaList, Taxon
from ami.ml.models import Algorithm, AlgorithmCategoryMap

# What runs go by, and what they give: which of them a run needs is known to its method alone.
CONSULTED = {Taxon, TaxaList, Algorithm, AlgorithmCategoryMap}
NAMED = 5


def unfinished_jobs() -> QuerySet[Job]:
    return Job.objects.exclude(status__in=FINAL).order_by("pk")


def tell(jobs: Iterable[Job]) -> list[str]:
    """A sentence for each of the first Jobs."""
    return [
        format_html(
            "{}, “{}”, has not ended: cancel it, or wait for its end, and then delete.",
            change_link(Job, job.pk),
            Truncator(job.name).chars(80),
        )
        for job in list(jobs)[:NAMED]
    ]


def kept_for_jobs(model: type[Model], ids: list[Any]) -> list[str]:
    """Of Jobs, projects, and what runs consult."""
    if model is Job:
        return tell(unfinished_jobs().filter(Q(pk__in=ids) | Q(reverts__in=ids))[:NAMED])
    if model is Project:
        return tell(unfinished_jobs().filter(project__in=ids)[:NAMED])
    return tell(unfinished_jobs()[:NAMED]) if model in CONSULTED else []


DELETION_GUARDS.register("jobs", kept_for_jobs)
