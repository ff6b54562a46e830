"""How the pages of Jobs show the rows and the options of methods."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import Model, Q
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator
from pydantic.fields import ModelField

from ami.base.access import visible_rows_of
from ami.base.links import change_link
from ami.jobs.models import Job
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.scopes import (
    SCOPES,
    Scope,
    label_of,
    model_of,
    options_of,
    stored_scope,
    written_value,
)
from ami.ml.post_processing.service import JOB_TYPE

NAME = 60  # the longest name of a row
LINKED = 5  # the rows of a scope that a page links to


def method_of(job: Job) -> str:
    """The name of the method, its key if it is not registered, or else the name of the Job."""
    key = job.parameters.get("task")
    task_cls = POSTPROCESSING_TASKS.get(key) if isinstance(key, str) else None
    return task_cls.name if task_cls else str(key or job.name)


def methods() -> dict[str, tuple[str, Q]]:
    """The methods as choices of a filter."""
    return {
        key: (task_cls.name, Q(job_type_key=JOB_TYPE, params__task=key))
        for key, task_cls in POSTPROCESSING_TASKS.items()
    }


def kinds_of_scope() -> dict[str, tuple[str, Q]]:
    """The scopes as choices of a filter."""
    return {
        scope.field: (
            str(scope.model._meta.verbose_name_plural).capitalize(),
            Q(job_type_key=JOB_TYPE, params__config__has_any_keys=_names(scope)),
        )
        for scope in SCOPES
    }


def scope_links(jobs: Sequence[Job], user: Any) -> dict[int, str]:
    """Links to the rows that each Job ran on, in one query per kind of scope."""
    chosen = {job.pk: found for job in jobs if (found := _chosen(job))}
    ids: dict[type[Model], set[int]] = defaultdict(set)
    for scope, pks in chosen.values():
        ids[scope.model].update(pks[:LINKED])
    rows = {model: visible_rows_of(model, user).in_bulk(pks) for model, pks in ids.items()}
    return {
        pk: _links(scope.model, pks, rows[scope.model], with_noun=True)
        for pk, (scope, pks) in chosen.items()
    }


def parameters(job: Job, user: Any) -> list[tuple[str, Any]]:
    """The method, its scope and the options that are set, with their labels.

    Parameters of a method that is not registered, or that name no scope, are shown as stored.
    """
    chosen = _chosen(job)
    task_cls = POSTPROCESSING_TASKS.get(job.params["task"]) if chosen else None
    if task_cls is None:
        return _stored(job.parameters)
    return [
        ("Method", task_cls.name),
        ("Scope", scope_links([job], user)[job.pk]),
        *options_with_links(task_cls, job.params["config"], user),
    ]


def options_with_links(
    task_cls: type[BasePostProcessingTask], config: dict[str, Any], user: Any
) -> list[tuple[str, str]]:
    """The options that are set, with their labels, and links to rows that the person may see."""
    return [
        (label_of(option), _value(option, config[option.name], user))
        for option in options_of(task_cls.config_schema)
        if config.get(option.name) not in (None, "", [], {})
    ]


def _names(scope: Scope) -> list[str]:
    return [name for name in (scope.field, scope.several) if name]


def _chosen(job: Job) -> tuple[Scope, list[int]] | None:
    """The scope and the ids of its rows; None if the parameters are malformed."""
    return stored_scope(job.parameters) if isinstance(job.parameters.get("task"), str) else None


def _links(model: type[Model], ids: list[int], rows: dict[int, Any], *, with_noun: bool) -> str:
    links = format_html_join(
        ", ", "{}", ((_link(model, pk, rows.get(pk), with_noun),) for pk in ids[:LINKED])
    )
    more = len(ids) - LINKED
    return format_html("{} and {} more", links, f"{more:,}") if more > 0 else links


def _link(model: type[Model], pk: int, row: Any, with_noun: bool) -> str:
    """A link to the row if the person may see it, else its id."""
    noun = str(model._meta.verbose_name).capitalize()
    if row is None:
        return f"{noun} {pk}"
    name = Truncator(row).chars(NAME)
    is_told = not with_noun or name.startswith(noun)
    return change_link(model, pk, name if is_told else f"{noun} {name}")


def _value(option: ModelField, value: Any, user: Any) -> str:
    """The value of an option, with links to the rows that it names."""
    ids = value if isinstance(value, list) else [value]
    if (model := model_of(option)) is None or not all(isinstance(pk, int) for pk in ids):
        return written_value(option, value)
    return _links(model, ids, visible_rows_of(model, user).in_bulk(ids), with_noun=False)


def _stored(params: dict[str, Any]) -> list[tuple[str, Any]]:
    config = params.get("config")
    if not isinstance(config, dict):
        return list(params.items())
    return [*((name, params[name]) for name in params if name != "config"), *config.items()]
