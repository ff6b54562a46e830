"""Refuse to delete rows that a Job needs before the Job has ended."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils.html import format_html
from django.utils.text import Truncator

from ami.base.deletion import DELETION_GUARDS
from ami.base.links import change_link
from ami.jobs.journal.revert import JOB_TYPE as REVERT
from ami.jobs.models import Job
from ami.jobs.states import FINAL
from ami.main.models import Project, TaxaList, Taxon
from ami.ml.models import Algorithm, AlgorithmCategoryMap

# Only the method of a run knows which of these rows it needs, so none are deleted while one runs.
CONSULTED = {Taxon, TaxaList, Algorithm, AlgorithmCategoryMap}
NAMED = 5


def unfinished_jobs() -> QuerySet[Job]:
    return Job.objects.exclude(status__in=FINAL).order_by("pk")


def tell(jobs: Iterable[Job]) -> list[str]:
    """One sentence for each of the first Jobs."""
    return [
        format_html(
            "{}, “{}”, has not ended: cancel it or wait for its end first.",
            change_link(Job, job.pk),
            Truncator(job.name).chars(80),
        )
        for job in list(jobs)[:NAMED]
    ]


def kept_for_jobs(model: type[Model], ids: list[Any]) -> list[str]:
    """Why these Jobs, projects or consulted rows cannot be deleted, one sentence per Job."""
    if model is Job:
        undoing = Q(job_type_key=REVERT, params__job__in=ids)  # a dry run has no `reverts`
        return tell(unfinished_jobs().filter(Q(pk__in=ids) | undoing)[:NAMED])
    if model is Project:
        return tell(unfinished_jobs().filter(project__in=ids)[:NAMED])
    return tell(unfinished_jobs()[:NAMED]) if model in CONSULTED else []


DELETION_GUARDS.register("jobs", kept_for_jobs)
