"""Refuse to delete the rows that an unfinished run works on."""

from typing import Any

from django.db.models import CASCADE, Model, Q

from ami.base.deletion import DELETION_GUARDS
from ami.base.ids import MAX_ID
from ami.jobs.deletion import tell, unfinished_jobs
from ami.jobs.models import Job
from ami.ml.post_processing.scopes import SCOPES
from ami.ml.post_processing.service import JOB_TYPE


def kept_for_runs(model: type[Model], ids: list[Any]) -> list[str]:
    """Why these rows cannot be deleted, one sentence per Job.

    A run works on a capture set, an event or an occurrence, or on one that goes with them.
    """
    reached = [(scope, way) for scope in SCOPES if (way := _ways(scope.model, model, ids))]
    if not reached:
        return []
    jobs = list(unfinished_jobs().filter(job_type_key=JOB_TYPE).only("name", "params"))
    kept = set()
    for scope, way in reached:
        fields = {name for name in (scope.field, scope.several) if name}
        pointed = {job.pk: _pointed_at(job, fields) for job in jobs}
        named = {pk for ids in pointed.values() for pk in ids if 0 < pk <= MAX_ID}
        gone = set(
            scope.model._default_manager.filter(way, pk__in=named).values_list("pk", flat=True)
        )
        kept |= {pk for pk, ids in pointed.items() if ids & gone}
    return tell(job for job in jobs if job.pk in kept)


def _ways(scope: type[Model], model: type[Model], ids: list[Any]) -> Q:
    """Which rows of `scope` go with those of `model`; empty where none does."""
    ways = Q(pk__in=ids) if scope is model else Q()
    for field in scope._meta.concrete_fields:
        related: Any = field.remote_field
        if related and related.model is model and related.on_delete is CASCADE:
            ways |= Q(**{f"{field.name}__in": ids})
    return ways


def _pointed_at(job: Job, fields: set[str]) -> set[Any]:
    """The ids in these options of the Job; malformed parameters are ignored."""
    config = job.parameters.get("config")
    values = [config.get(name) for name in fields] if isinstance(config, dict) else []
    listed = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return {item for item in listed if isinstance(item, int)}


DELETION_GUARDS.register("runs", kept_for_runs)
