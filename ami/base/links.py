"""Links from one admin page to another."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

EMPTY = "—"


def change_link(model: type[Model], pk: Any, label: object = None) -> str:
    """A link to the row's page, called "Detection 5" where no label is given.

    Made from the id alone, so that the row need not be read. Only the label where the admin has no
    page for the model, and a dash where there is no row.
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
    """The address of the model's list, cut to the rows that the lookups name."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(filters)}"


def count_link(model: type[Model], count: int, **filters: Any) -> str:
    """A count that leads to the rows it counts."""
    return format_html('<a href="{}">{}</a>', list_url(model, **filters), f"{count:,}")
