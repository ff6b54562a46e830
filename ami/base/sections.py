"""Further parts of a page, by higher layers than that of the page."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.http import HttpRequest


class Section(NamedTuple):
    """A part of the page of a row: its template, and what returns its context."""

    template: str
    context: Callable[[HttpRequest, Any], dict[str, Any]]


def sections_of(
    sections: Iterable[Section], request: HttpRequest, row: Any
) -> list[dict[str, Any]]:
    """Return the templates and contexts of all sections for the page of a row."""
    return [
        {"template": section.template, "context": section.context(request, row)}
        for section in sections
    ]
