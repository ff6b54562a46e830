"""Lists of the admin whose rows need neither a template nor `reverse()`."""

from datetime import date, time
from functools import cache
from operator import attrgetter
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import display_for_field, display_for_value
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateField, Field, ForeignKey, Model, TimeField
from django.db.models.options import Options
from django.http import HttpRequest
from django.urls import get_script_prefix
from django.utils.html import conditional_escape, escape, format_html
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


class Column:
    """A column of a list, looked up once for all rows: a field, or a method of the admin."""

    def __init__(self, changelist: QuickChangeList, name: Any) -> None:
        """Raises UnusualColumnError for another column, which lists of other apps may have."""
        model_admin, links = changelist.model_admin, changelist.list_display_links or ()
        self._changelist = changelist
        self._field = _field(changelist.lookup_opts, name)
        if self._field is None and (name == "__str__" or not hasattr(model_admin, str(name))):
            raise UnusualColumnError(name)
        self._read: Any = attrgetter(name) if self._field else getattr(model_admin, name)
        self._empty = getattr(
            self._read, "empty_value_display", model_admin.get_empty_value_display()
        )
        self._boolean = getattr(self._read, "boolean", False)
        self._css = "action-checkbox" if name == "action_checkbox" else f"field-{name}"
        self._is_short = isinstance(self._field, DateField | TimeField | ForeignKey)
        self._is_linked = name in links
        first = next((one for one in changelist.list_display if one in links), None)
        self._tag = "th" if name == first else "td"

    def draw(self, row: Model) -> str:
        """Return the cell of a row, as `items_for_result` of the admin draws it."""
        value = self._read(row)
        text = conditional_escape(self._shown(value))
        nowrap = " nowrap" if self._is_short or isinstance(value, date | time) else ""
        inner = self._link(row, text) if self._is_linked else text
        return f'<{self._tag} class="{self._css}{nowrap}">{inner}</{self._tag}>'

    def _shown(self, value: Any) -> Any:
        if isinstance(value, str) and not value.strip():
            value = ""
        if isinstance(self._field, ForeignKey):
            return self._empty if value is None else value
        if self._field is None or self._field.auto_created:
            return display_for_value(value, self._empty, self._boolean)
        return display_for_field(value, self._field, self._empty, avoid_link=self._is_linked)

    def _link(self, row: Model, text: str) -> str:
        opener, changes = "", self._changelist
        if changes.is_popup:
            value = row.serializable_value(changes.to_field or changes.pk_attname)
            opener = format_html(' data-popup-opener="{}"', value)
        return f'<a href="{escape(changes.url_for_result(row))}"{opener}>{text}</a>'


class UnusualColumnError(Exception):
    """A column is neither a field nor a method of the admin."""


def _field(opts: "Options[Any]", name: Any) -> "Field[Any, Any] | None":
    """Return the field of that name, if it is a column of the table."""
    try:
        field = opts.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, Field) and field.name == name else None


class QuickListMixin(admin.ModelAdmin[Any]):
    """Renders the checkbox of each row without the template of Django's widget."""

    def action_checkbox(self, obj: Model) -> SafeString:
        label = _("Select this object for an action - {}").format(obj)
        return format_html(CHECKBOX, ACTION_CHECKBOX_NAME, obj.pk, label)
