"""A mixin for a ModelAdmin that offers every method that can run on its rows."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ami.ml.post_processing.admin.actions import PostProcessingAction, make_post_processing_action
from ami.ml.post_processing.admin.builds import JobsByProject
from ami.ml.post_processing.admin.forms import form_class_for
from ami.ml.post_processing.admin.selection import SelectionError, refuse_unusable
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.scopes import Scope, scopes_of
from ami.ml.post_processing.service import run_permission


class PostProcessingActionsMixin(admin.ModelAdmin[Any]):
    """Adds one action for each registered method that takes this model as a scope."""

    @property
    def media(self) -> Media:
        return super().media + Media(js=["post_processing/select.js"])

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        if IS_POPUP_VAR in request.GET:
            return actions
        for task_cls in POSTPROCESSING_TASKS.values():
            if not request.user.has_perm(run_permission(task_cls)):
                continue
            for scope in scopes_of(task_cls.config_schema):
                if scope.model is not self.model:
                    continue
                action = make_post_processing_action(
                    task_cls, form_class_for(task_cls), **_how_to_build(task_cls, scope)
                )
                name = action.__name__
                actions[name] = (action, name, action.short_description)  # type: ignore[assignment]
        return actions

    def render_change_form(  # type: ignore[override]
        self, request: HttpRequest, context: dict[str, Any], **options: Any
    ) -> HttpResponse:
        """Offer the methods on the page of a row, too, as buttons that select it."""
        actions = self.get_actions(request) if options.get("obj") else {}
        context["methods"] = [
            {"action": name, "name": action.task_cls.name}
            for name, (action, *_) in actions.items()
            if isinstance(action, PostProcessingAction)
            and request.user.has_perm(action.permission, options["obj"])
        ]
        return super().render_change_form(request, context, **options)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Refuse a run that no page can have offered before Django looks up the rows.

        Django would show the list to users without the permission, and would fail at a bad id.
        """
        if task_cls := _method_of(request.POST.get("action", "")):
            if not request.user.has_perm(run_permission(task_cls)):
                raise PermissionDenied
            try:
                refuse_unusable(request, noun=str(self.opts.verbose_name_plural))
            except SelectionError as refused:
                self.message_user(request, str(refused), messages.WARNING)
                return HttpResponseRedirect(request.get_full_path())
        return super().changelist_view(request, extra_context)


def _method_of(action: str) -> type[BasePostProcessingTask] | None:
    """Return the method that an action runs, if any."""
    if not action.startswith("run_"):
        return None
    return POSTPROCESSING_TASKS.get(action.removeprefix("run_"))


def _how_to_build(task_cls: type[BasePostProcessingTask], scope: Scope) -> dict[str, Any]:
    """One Job per project if the method takes several rows at once, else one Job per row."""
    if scope.several in task_cls.config_schema.__fields__:
        return {"build_jobs": JobsByProject(scope)}
    return {"scope_resolver": lambda row: {scope.field: row.pk}}
