"""Links from one admin page to another."""

from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import NoReverseMatch, get_resolver, get_script_prefix, reverse
from django.urls.resolvers import URLResolver
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString

EMPTY = SafeString("—")


def change_link(model: type[Model], pk: Any, label: Any = None) -> str:
    """Return a link to the row's page, with a label such as "Detection 5" by default.

    Only the id is needed, so the row is not read. If the admin has no page for the model, only the
    label is returned, and if `pk` is None, a dash.
    """
    if pk is None:
        return EMPTY
    text = label or f"{str(model._meta.verbose_name).capitalize()} {pk}"
    try:
        # The URL needs no escaping. `format_html` takes twice as long, hundreds of times a list.
        return SafeString(f'<a href="{change_url(model, pk)}">{conditional_escape(text)}</a>')
    except NoReverseMatch:
        return str(text)


def change_url(model: type[Model], pk: Any) -> str:
    """Return the URL of the row's page. Raises NoReverseMatch if the admin has none."""
    return f"{list_url(model)}{quote(pk)}/change/"


def list_url(model: type[Model], **filters: Any) -> str:
    """Return the URL of the model's list, filtered by the lookups.

    Raises NoReverseMatch if the admin has none.
    """
    path = _list_path(model, get_resolver(), get_script_prefix())
    return f"{path}?{urlencode(filters)}" if filters else path


@cache
def _list_path(model: type[Model], resolver: URLResolver, script_prefix: str) -> str:
    """Reverse once: to reverse for each link of a list would take a tenth of the list's time.

    The path depends on the root URLs and on the prefix under which the server mounts the site.
    """
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def rows_link(model: type[Model], **filters: Any) -> str:
    """Return a link to rows that it would take long to count."""
    label = str(model._meta.verbose_name_plural).capitalize()
    return format_html('<a href="{}">{}</a>', list_url(model, **filters), label)


def count_link(model: type[Model], count: int, **filters: Any) -> str:
    """Return a count as a link to the counted rows."""
    return format_html('<a href="{}">{}</a>', list_url(model, **filters), f"{count:,}")
