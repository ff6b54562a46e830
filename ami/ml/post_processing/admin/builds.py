"""How the Jobs of an action are built from the selected rows and the options."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ami.jobs.admin.pages import launch_key_of
from ami.main.models import Project
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import Scope, scope_options
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.validation import ConfigValidationErrors
from ami.users.models import User

DRY_RUN = "_dry_run"

ScopeResolver: TypeAlias = Callable[[Any], dict[str, Any]]
ProjectResolver: TypeAlias = Callable[[Any], Project | None]
NameResolver: TypeAlias = Callable[[type[BasePostProcessingTask], Any], str]
BuildJobs: TypeAlias = Callable[..., list[int]]


def default_project_resolver(row: Any) -> Project | None:
    return cast(Project | None, row.project)


def default_build_jobs(
    *,
    model_admin: admin.ModelAdmin[Any] | None = None,
    request: HttpRequest | None = None,
    config: dict[str, Any],
    queryset: QuerySet[Any],
    task_cls: type[BasePostProcessingTask],
    form_field_names: Collection[str],
    scope_resolver: ScopeResolver,
    project_resolver: ProjectResolver,
    name_resolver: NameResolver,
) -> list[int]:
    """Launch one Job for each row of `queryset`, all or none; return their ids.

    Without a `request`, the Jobs have no user. Raises ConfigValidationErrors, in which an error
    that several rows share appears once.
    """
    rows = [
        LaunchRow(
            name_resolver(task_cls, row), project_resolver(row), {**config, **scope_resolver(row)}
        )
        for row in queryset
    ]
    return _launch(rows, request=request, task_cls=task_cls, form_field_names=form_field_names)


@dataclass(frozen=True)
class JobsByProject:
    """A `build_jobs` that launches one Job for the selected rows of each project."""

    scope: Scope

    def __call__(
        self,
        *,
        request: HttpRequest,
        config: dict[str, Any],
        queryset: QuerySet[Any],
        task_cls: type[BasePostProcessingTask],
        form_field_names: Collection[str],
        project_resolver: ProjectResolver,
        name_resolver: NameResolver,
        **_: Any,
    ) -> list[int]:
        groups: dict[Project | None, list[Any]] = {}
        for row in queryset:
            groups.setdefault(project_resolver(row), []).append(row)
        rows = [
            LaunchRow(
                _group_name(group, task_cls, name_resolver),
                project,
                config
                | scope_options(task_cls.config_schema, self.scope, [row.pk for row in group]),
            )
            for project, group in groups.items()
        ]
        return _launch(rows, request=request, task_cls=task_cls, form_field_names=form_field_names)


def _group_name(
    group: list[Any], task_cls: type[BasePostProcessingTask], name_resolver: NameResolver
) -> str:
    if len(group) == 1:
        return name_resolver(task_cls, group[0])
    return f"{task_cls.name} on {len(group)} {group[0]._meta.verbose_name_plural}"


def _launch(
    rows: list[LaunchRow],
    *,
    request: HttpRequest | None,
    task_cls: type[BasePostProcessingTask],
    form_field_names: Collection[str],
) -> list[int]:
    asked: dict[str, Any] = {}
    if request is not None:
        asked = {
            "user": cast(User, request.user),
            "launch_key": launch_key_of(request),
            "dry_run": DRY_RUN in request.POST,
        }
    try:
        jobs = launch(task_cls, rows, **asked)
    except ConfigValidationErrors as invalid:
        raise ConfigValidationErrors(
            [(name if name in form_field_names else None, text) for name, text in invalid.errors]
        ) from None
    return [job.pk for job in jobs]
