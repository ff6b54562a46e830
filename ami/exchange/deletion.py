"""Refuse to delete the rows that an unfinished export, import or shift of a clock works on."""

from typing import Any

from django.db.models import Model, Q

from ami.base.deletion import DELETION_GUARDS
from ami.exchange import clock, work
from ami.exchange.importing.file_work import JOB_TYPE as IMPORT
from ami.exchange.models import Export, Import
from ami.jobs.deletion import tell, unfinished_jobs
from ami.main.models import Deployment, Event, Occurrence, SourceImageCollection


def kept_for_files(model: type[Model], ids: list[Any]) -> list[str]:
    """Why these rows cannot be deleted, one sentence per Job."""
    needing = _needing(model, ids)
    return tell(unfinished_jobs().filter(needing)) if needing else []


def _needing(model: type[Model], ids: list[Any]) -> Q:
    """Which Jobs need the rows; empty for a model whose rows none of them needs."""
    if model is Deployment:
        return _needing_deployments(ids)
    exported = Q(job_type_key=work.JOB_TYPE)
    ways: dict[type[Model], Q] = {
        Export: Q(export__in=ids),
        Import: Q(file_import__in=ids),
        Occurrence: Q(export__occurrence_ids__overlap=ids),
        SourceImageCollection: exported & Q(params__collection__in=ids),
        Event: exported & Q(params__event__in=ids),
    }
    return ways.get(model, Q())


def _needing_deployments(ids: list[Any]) -> Q:
    nights = Event.objects.filter(deployment__in=ids).values_list("pk", flat=True)
    projects = Deployment.objects.filter(pk__in=ids).values("project")
    shifted = Q(job_type_key=clock.JOB_TYPE, params__deployment__in=ids)
    filled = Q(job_type_key=IMPORT, project__in=projects)  # its file may name the deployment
    return shifted | filled | _needing(Event, list(nights))


DELETION_GUARDS.register("files", kept_for_files)
