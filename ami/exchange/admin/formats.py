"""The names of formats, and the filters of lists by them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ami.base.registry import UnknownKeyError
from ami.exchange.export.registry import FORMATS
from ami.exchange.reading.registry import NAME_LIST, READERS, format_named


def format_name(key: str) -> str:
    """The name of a format that is written."""
    form = FORMATS.get(key)
    return form.name if form else key


def reader_name(key: str) -> str:
    """The name of a format that is read, in the case of a title."""
    try:
        form = format_named(key)
    except UnknownKeyError:
        return key
    name = form.name.removeprefix("an ").removeprefix("a ")
    return name[:1].upper() + name[1:]


class _FormatFilter(admin.SimpleListFilter):
    title = "format"
    parameter_name = "form"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(form=self.value()) if self.value() else queryset


class ExportFormatFilter(_FormatFilter):
    """Filter exports by their format."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, format_name(key)) for key in FORMATS]


class ImportFormatFilter(_FormatFilter):
    """Filter imports by their format."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, reader_name(key)) for key in (*READERS, NAME_LIST.key)]
