"""Links from one admin page to another."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

EMPTY = "—"


def change_link(model: type[Model], pk: Any, label: object = None) -> str:
    """Return a link to the row's page, with a label such as "Detection 5" by default.

    Only the id is needed, so the row is not read. If the admin has no page for the model, only the
    label is returned, and if `pk` is None, a dash.
    """
    if pk is None:
        return EMPTY
    text = label or f"{str(model._meta.verbose_name).capitalize()} {pk}"
    try:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])
    except NoReverseMatch:
        return str(text)
    return format_html('<a href="{}">{}</a>', url, text)


def list_url(model: type[Model], **filters: Any) -> str:
    """Return the URL of the model's list, filtered by the lookups."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(filters)}"


def count_link(model: type[Model], count: int, **filters: Any) -> str:
    """Return a count as a link to the counted rows."""
    return format_html('<a href="{}">{}</a>', list_url(model, **filters), f"{count:,}")
