"""Lists of the admin whose rows need neither a template nor `reverse()`."""

from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import display_for_value
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model
from django.http import HttpRequest
from django.urls import get_script_prefix
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ami.base.links import change_url

CHECKBOX = '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">'


def icon(value: bool | None) -> SafeString:
    """Return Django's icon for a boolean, without looking up its URL for each row of a list."""
    return _icon(value, get_script_prefix())


@cache
def _icon(value: bool | None, script_prefix: str) -> SafeString:
    """The URL depends on the prefix under which the server mounts the site."""
    return SafeString(display_for_value(value, "", boolean=True))


class QuickChangeList(ChangeList):
    """Links each row to its page without `reverse()`.

    The link also holds the list's filters. If `preserved_filters` was set, Django would add them,
    but would first resolve the URL of each row.
    """

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.suffix = f"?{self.preserved_filters}" if self.preserved_filters else ""
        self.preserved_filters = ""

    def url_for_result(self, result: Model) -> str:
        return change_url(self.model, getattr(result, self.pk_attname)) + self.suffix


class QuickListMixin(admin.ModelAdmin[Any]):
    """Renders the checkbox of each row without the template of Django's widget."""

    def action_checkbox(self, obj: Model) -> SafeString:
        label = _("Select this object for an action - {}").format(obj)
        return format_html(CHECKBOX, ACTION_CHECKBOX_NAME, obj.pk, label)
