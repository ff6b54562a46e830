"""What keeps admin pages quick and bounded on tables of millions of rows."""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from ami.base.deletion import DELETE_LIMIT, touches_more_than
from ami.base.ids import parse_id
from ami.base.links import EMPTY

M = TypeVar("M", bound=Model)


class IdSearchAdminMixin(admin.ModelAdmin[Any]):
    """A search for digits finds the row of that id; any other text searches `search_fields`."""

    search_fields: ClassVar[Any] = ("=id",)
    search_help_text: ClassVar[str] = "Search by id."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if term.isdecimal():
            pk = parse_id(term)
            return (queryset.none() if pk is None else queryset.filter(pk=pk)), False
        id_only = tuple(self.get_search_fields(request)) == IdSearchAdminMixin.search_fields
        if term and (id_only or "\x00" in term):
            return queryset.none(), False
        return super().get_search_results(request, queryset, term)


class BoundedDeletionMixin(admin.ModelAdmin[Any]):
    """Refuses to delete what would touch more rows than one request should hold in memory."""

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        ids = (
            list(objs.values_list("pk", flat=True)[: DELETE_LIMIT + 1])
            if isinstance(objs, QuerySet)
            else [obj.pk for obj in objs]
        )
        if touches_more_than(DELETE_LIMIT, model=self.model, ids=ids):
            refusal = (
                f"More than {DELETE_LIMIT:,} rows would be deleted or changed, too many for one "
                "request. Delete the rows that hang on these first, in smaller portions."
            )
            return [], {}, set(), [refusal]
        return super().get_deleted_objects(objs, request)


class BoundedPaginator(Paginator[M]):
    """Counts no further than `LIMIT` rows, whatever the table holds."""

    LIMIT = 10_000

    @cached_property
    def _counted(self) -> int:
        rows = cast("QuerySet[M]", self.object_list)
        return rows.order_by().values("pk")[: self.LIMIT + 1].count()

    @cached_property
    def count(self) -> int:
        return min(self._counted, self.LIMIT)

    @property
    def has_more(self) -> bool:
        return self._counted > self.LIMIT


class LargeTableChangeList(ChangeList):
    """Reads the ids of a page first, then the page's rows alone, with their counts.

    PostgreSQL computes the annotations of the rows that an OFFSET skips, too.
    """

    model_admin: "LargeTableAdmin[Any]"

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.has_more = cast("BoundedPaginator[Any]", self.paginator).has_more
        ids = list(self.result_list.values_list("pk", flat=True))
        rows = self.apply_select_related(self.root_queryset.filter(pk__in=ids))
        if self.model_admin.list_only:
            rows = rows.only(*self.model_admin.list_only)
        self.result_list = rows.order_by(*self.get_ordering(request, rows))


class LargeTableAdmin(IdSearchAdminMixin, BoundedDeletionMixin, admin.ModelAdmin[M]):
    """A list is cut by id, and stops counting at `BoundedPaginator.LIMIT`.

    `annotations` are computed, on a list, for the rows of one page only. `deferred` names columns
    that are too large to transfer. `list_only` names those that the list reads, those of
    `list_select_related` included; empty for all.
    """

    annotations: ClassVar[dict[str, Any]] = {}
    deferred: ClassVar[tuple[str, ...]] = ()
    list_only: ClassVar[tuple[str, ...]] = ()
    list_select_related: ClassVar[Any] = ()
    ordering: ClassVar[Any] = ("-id",)
    sortable_by: ClassVar[Any] = ("id",)
    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    empty_value_display = EMPTY
    readonly_fields: ClassVar[Any] = ("created_at", "updated_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        rows: QuerySet[M] = super().get_queryset(request)
        return cast("QuerySet[M]", rows.defer(*self.deferred).annotate(**self.annotations))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LargeTableChangeList
