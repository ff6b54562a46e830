"""Refuse to delete the rows that an unfinished run works on."""

from typing import Any

from django.db.models import Model

from ami.base.deletion import DELETION_GUARDS
from ami.jobs.deletion import tell, unfinished_jobs
from ami.jobs.models import Job
from ami.ml.post_processing.scopes import SCOPES
from ami.ml.post_processing.service import JOB_TYPE


def kept_for_runs(model: type[Model], ids: list[Any]) -> list[str]:
    """Why these capture sets, events or occurrences cannot be deleted, one sentence per Job."""
    fields = {
        name
        for scope in SCOPES
        if scope.model is model
        for name in (scope.field, scope.several)
        if name
    }
    if not fields:
        return []
    jobs = unfinished_jobs().filter(job_type_key=JOB_TYPE).only("name", "params")
    return tell(job for job in jobs if _pointed_at(job, fields) & set(ids))


def _pointed_at(job: Job, fields: set[str]) -> set[Any]:
    """The ids in these options of the Job; malformed parameters are ignored."""
    params = job.params if isinstance(job.params, dict) else {}
    config = params.get("config")
    values = [config.get(name) for name in fields] if isinstance(config, dict) else []
    listed = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return {item for item in listed if isinstance(item, int)}


DELETION_GUARDS.register("runs", kept_for_runs)
