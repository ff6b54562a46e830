"""Actions of lists that higher layers add to the admins of lower ones."""

from typing import Any, Protocol

from django.contrib.admin import ModelAdmin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse


class RowAction(Protocol):
    """An action, and the permission that a person needs on each of the selected rows."""

    @property
    def permission(self) -> str:
        """The permission."""

    @property
    def short_description(self) -> str:
        """The label of the action."""

    @property
    def __name__(self) -> str:
        """The name that the list submits."""

    def __call__(
        self, model_admin: ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """Act on the rows, or return a page that asks how."""


# The actions of each model.
ACTIONS: dict[type[Model], list[RowAction]] = {}


def actions_of(model: type[Model], request: HttpRequest) -> dict[str, Any]:
    """Return the actions that the person may start on some row, as Django lists them."""
    return {
        action.__name__: (action, action.__name__, action.short_description)
        for action in ACTIONS.get(model, ())
        if request.user.has_perm(action.permission)
    }
