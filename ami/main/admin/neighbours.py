"""The rows before and after a row, in the list from which a person came to its page."""

from copy import copy
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import SuspiciousOperation
from django.db import DataError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, QueryDict

from ami.base.admin import BoundedPaginator, LargeTableAdmin, not_by_index
from ami.base.links import change_url

FILTERS = "_changelist_filters"  # Django's name of the parameter with the list's filters


class Neighbours(NamedTuple):
    """The addresses of the pages of the previous and the next row, "" at an end of the list."""

    previous: str = ""
    next: str = ""


def neighbours(model_admin: LargeTableAdmin[Any], request: HttpRequest, row: Model) -> Neighbours:
    """Return the neighbours of `row` in the list with the filters that the address has kept.

    Without filters, it is the list of all rows that the person may see. There are none if the
    filters are invalid.
    """
    filters = request.GET.get(FILTERS, "")
    try:
        return _around(row, _listed(model_admin, request, filters), filters)
    except (IncorrectLookupParameters, SuspiciousOperation, DataError, OverflowError, ValueError):
        return Neighbours()


def _around(row: Model, rows: QuerySet[Any], filters: str) -> Neighbours:
    order = [name for name in rows.query.order_by if isinstance(name, str)]
    suffix = f"?{urlencode({FILTERS: filters})}" if filters else ""
    few = (
        rows.order_by().values("pk")[: BoundedPaginator.LIMIT + 1].count() <= BoundedPaginator.LIMIT
    )

    def nearest(way: list[str]) -> str:
        after = rows.filter(_after(way, row))
        pk = after.order_by(*(not_by_index(way) if few else way)).values_list("pk", flat=True)[:1]
        return next((change_url(type(row), one) + suffix for one in pk), "")

    return Neighbours(nearest([_turned(name) for name in order]), nearest(order))


def _listed(model_admin: LargeTableAdmin[Any], request: HttpRequest, filters: str) -> QuerySet[Any]:
    """Return the rows of the list, in its order. Raises as Django's list does."""
    asked: Any = copy(request)
    asked.GET = QueryDict(filters)
    own: Any = model_admin.get_changelist(asked)
    changelist: ChangeList = type(own.__name__, (_WithoutRows, own), {})(
        asked,
        model_admin.model,
        ["action_checkbox", *model_admin.get_list_display(asked)],
        (),
        model_admin.get_list_filter(asked),
        model_admin.date_hierarchy,
        model_admin.get_search_fields(asked),
        (),
        model_admin.list_per_page,
        model_admin.list_max_show_all,
        (),
        model_admin,
        model_admin.get_sortable_by(asked),
        "",
    )
    rows: QuerySet[Any] = changelist.queryset
    return rows


class _WithoutRows(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Do not read a page."""


def _turned(name: str) -> str:
    return name.removeprefix("-") if name.startswith("-") else f"-{name}"


def _after(order: list[str], row: Model) -> Q:
    """Return the condition of rows that come after `row` in that order."""
    after, equal = Q(pk__in=[]), Q()
    for name in order:
        field = name.removeprefix("-")
        value = getattr(row, field)
        if value is None:
            break
        after |= equal & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        equal &= Q(**{field: value})
    return after
