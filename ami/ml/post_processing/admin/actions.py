"""The admin action of a method: a page of options for the selected rows, then the launch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, AdminForm
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join

from ami.base.admin import page_context
from ami.base.links import change_link
from ami.base.registry import Registry
from ami.base.words import counted
from ami.jobs.admin.again import record_run_again
from ami.jobs.admin.pages import LAUNCH_KEY, launch_key_of
from ami.jobs.models import Job
from ami.jobs.service import AlreadyLaunchedError
from ami.ml.post_processing.admin.builds import (
    DRY_RUN,
    BuildJobs,
    JobsByProject,
    NameResolver,
    ProjectResolver,
    ScopeResolver,
    default_build_jobs,
    default_project_resolver,
)
from ami.ml.post_processing.admin.forms import FILL, BasePostProcessingActionForm
from ami.ml.post_processing.admin.preview import preview_page
from ami.ml.post_processing.admin.selection import Selection, SelectionError
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.service import default_job_name, run_permission
from ami.ml.post_processing.validation import ConfigValidationErrors

__all__ = [
    "ConfigValidationErrors",
    "PostProcessingAction",
    "default_build_jobs",
    "make_post_processing_action",
]

CONFIRM = "confirm"
COUNTS = "_counts"
PREVIEW = "_preview"


class Step(NamedTuple):
    """A further button of the page of options, by a higher layer, and the page that it opens.

    `page` gets the action, its admin, the request, the selection and the selected rows. `suits`
    says for which methods it is offered, provided that they support dry runs.
    """

    label: str
    page: Callable[..., HttpResponse]
    suits: Callable[[type[BasePostProcessingTask]], bool]


# By the names of the buttons. They write nothing.
STEPS: Registry[Step] = Registry("step of an action")


@dataclass(frozen=True, kw_only=True)
class PostProcessingAction:
    """An admin action: the first call shows the options, the confirmed one launches.

    Django calls it with the ModelAdmin, the request and the selected rows.
    """

    task_cls: type[BasePostProcessingTask]
    form_class: type[BasePostProcessingActionForm]
    build_jobs: BuildJobs
    resolvers: dict[str, Any]
    title: str
    short_description: str
    submit_label: str

    @property
    def __name__(self) -> str:
        return f"run_{self.task_cls.key}"

    @property
    def permission(self) -> str:
        """What a person must have in the project of each selected row."""
        return run_permission(self.task_cls)

    @property
    def offers_dry_run(self) -> bool:
        """Whether the method and the `build_jobs` of the action both support dry runs."""
        ours = self.build_jobs is default_build_jobs or isinstance(self.build_jobs, JobsByProject)
        return ours and not self.task_cls.has_own_run()

    def __call__(
        self, model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        if not request.user.has_perm(self.permission):
            raise PermissionDenied
        try:
            selection = Selection.of(request, queryset)
        except SelectionError as refused:
            model_admin.message_user(request, str(refused), messages.WARNING)
            return None
        submitted = LAUNCH_KEY in request.POST or bool(request.POST.get(CONFIRM))
        if PREVIEW in request.POST:
            return self._previewed(model_admin, request, selection, queryset)
        if step := next((STEPS[key] for key in STEPS if key in request.POST), None):
            return step.page(self, model_admin, request, selection, queryset)
        if not submitted or COUNTS in request.POST or FILL in request.POST:
            options = self.form_class.filled(request.POST, request.user) if submitted else None
            return self._unconfirmed(model_admin, request, selection, queryset, options)
        form = self.form_class(request.POST, scope_queryset=queryset)
        if selection.vanished:
            form.add_error(None, selection.vanished)
        if DRY_RUN in request.POST and not self.offers_dry_run:
            form.add_error(
                None, f"{self.task_cls.name} does not support dry runs; nothing was queued."
            )
        if form.is_valid():
            rows = f"{len(selection.ids):,} {selection.noun}"
            if self._launch(model_admin, request, queryset, form, rows=rows):
                return None
        return self.page(model_admin, request, selection, form)

    def filled_in(
        self,
        model_admin: admin.ModelAdmin[Any],
        request: HttpRequest,
        queryset: QuerySet[Any],
        *,
        options: dict[str, Any],
    ) -> TemplateResponse:
        """The page of options for these rows, filled in with `options`."""
        selection = Selection.of_rows(queryset)
        return self._unconfirmed(model_admin, request, selection, queryset, options)

    def _previewed(
        self,
        model_admin: admin.ModelAdmin[Any],
        request: HttpRequest,
        selection: Selection,
        queryset: QuerySet[Any],
    ) -> TemplateResponse:
        """The page with its options as they stand, and what a run with them would do."""
        form = self.form_class(request.POST, scope_queryset=queryset)
        found: dict[str, Any] = {}
        if self.offers_dry_run and selection.scope and form.is_valid():
            try:
                found = preview_page(
                    self.task_cls,
                    form.to_config(),
                    scope=selection.scope,
                    rows=queryset,
                    user=request.user,
                )
            except ConfigValidationErrors as invalid:
                form.add_config_errors(
                    [(name if name in form.fields else None, text) for name, text in invalid.errors]
                )
        return self.page(model_admin, request, selection, form, preview=found)

    def _unconfirmed(
        self,
        model_admin: admin.ModelAdmin[Any],
        request: HttpRequest,
        selection: Selection,
        queryset: QuerySet[Any],
        options: dict[str, Any] | None,
    ) -> TemplateResponse:
        """The page of options. If the selection is large, it asks for its counts afterwards."""
        has_counts = COUNTS in request.POST or selection.few is not None
        form = self.form_class(initial=options, scope_queryset=queryset if has_counts else None)
        return self.page(model_admin, request, selection, form, has_counts=has_counts)

    def _launch(
        self,
        model_admin: admin.ModelAdmin[Any],
        request: HttpRequest,
        queryset: QuerySet[Any],
        form: BasePostProcessingActionForm,
        *,
        rows: str,
    ) -> bool:
        """Launch and show a message; False if the options were refused, as the form then says."""
        how = " as a dry run, which writes nothing" if DRY_RUN in request.POST else ""
        text = f"{{method}}: queued {{number}} for {{rows}}{how}: {{jobs}}."
        level = messages.SUCCESS
        try:
            job_ids = self.build_jobs(
                model_admin=model_admin,
                request=request,
                config=form.to_config(),
                queryset=queryset,
                task_cls=self.task_cls,
                form_field_names=list(form.fields),
                **self.resolvers,
            )
            record_run_again(request, job_ids)
        except ConfigValidationErrors as invalid:
            form.add_config_errors(invalid.errors)
            return False
        except AlreadyLaunchedError as former:
            job_ids = former.job_ids
            level = messages.WARNING
            text = (
                "{method}: this form was submitted before and queued {jobs}; no new Job was "
                "queued. To run the method again, select the rows again."
            )
        number = counted(len(job_ids), "Job")
        links = format_html_join(", ", "{}", ((change_link(Job, pk),) for pk in job_ids))
        message = format_html(text, method=self.task_cls.name, number=number, rows=rows, jobs=links)
        model_admin.message_user(request, message, level)
        return True

    def page(
        self,
        model_admin: admin.ModelAdmin[Any],
        request: HttpRequest,
        selection: Selection,
        form: BasePostProcessingActionForm,
        *,
        has_counts: bool = True,
        preview: dict[str, Any] | None = None,
    ) -> TemplateResponse:
        form.hide_foreign(request.user)
        return TemplateResponse(
            request,
            self._templates("confirmation.html"),
            {
                **page_context(model_admin, request, title=self.title),
                "action_name": self.__name__,
                "description": self.task_cls.description,
                "submit_label": self.submit_label,
                "media": model_admin.media + form.media,
                "adminform": AdminForm(form, [("Options", {"fields": list(form.fields)})], {}),  # type: ignore[arg-type]
                "form_fieldset": self._templates("_form_fieldset.html"),
                "offers_dry_run": self.offers_dry_run,
                "dry_run_name": DRY_RUN,
                "is_dry_run": DRY_RUN in request.POST,
                "launch_key": launch_key_of(request) or uuid4(),
                "launch_key_name": LAUNCH_KEY,
                "action_checkbox_name": ACTION_CHECKBOX_NAME,
                "selection": selection,
                "last_runs": selection.last_runs(self.task_cls, request.user),
                "has_counts": has_counts,
                "preview": preview,
                "preview_name": PREVIEW,
                "steps": [
                    (key, STEPS[key].label) for key in STEPS if STEPS[key].suits(self.task_cls)
                ],
                "counts_name": COUNTS,
                "nothing_to_do": has_counts
                and (selection.nothing_for(self.task_cls) or form.lacking),
            },
        )

    def _templates(self, name: str) -> list[str]:
        """The names to try for a template: that of the method first."""
        folder = "admin/post_processing"
        return [f"{folder}/{self.task_cls.key}/{name}", f"{folder}/{name}"]


def make_post_processing_action(
    task_cls: type[BasePostProcessingTask],
    form_class: type[BasePostProcessingActionForm],
    *,
    scope_resolver: ScopeResolver | None = None,
    project_resolver: ProjectResolver = default_project_resolver,
    name_resolver: NameResolver = default_job_name,
    build_jobs: BuildJobs = default_build_jobs,
    description: str | None = None,
    title: str | None = None,
    submit_label: str = "Run",
) -> PostProcessingAction:
    """An admin action that asks for a method's options, then launches it on the selected rows.

    `scope_resolver` turns a row into the option that names it, such as `{"occurrence_id": 7}`.
    Raises ValueError if neither it nor a `build_jobs` is given.
    """
    if scope_resolver is None and build_jobs is default_build_jobs:
        raise ValueError(f"{task_cls.__name__}: give a scope_resolver, or a build_jobs.")
    resolvers: dict[str, Any] = {
        "project_resolver": project_resolver,
        "name_resolver": name_resolver,
    }
    if scope_resolver is not None:
        resolvers["scope_resolver"] = scope_resolver
    return PostProcessingAction(
        task_cls=task_cls,
        form_class=form_class,
        build_jobs=build_jobs,
        resolvers=resolvers,
        title=title or f"Run {task_cls.name}",
        short_description=description or f"Run {task_cls.name} post-processing task (async)",
        submit_label=submit_label,
    )
