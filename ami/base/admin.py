"""Admin pages that stay fast on tables with millions of rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import F, Model, QuerySet
from django.db.models.fields.related import RelatedField
from django.http import Http404, HttpRequest
from django.urls import URLPattern, path
from django.utils.functional import cached_property
from django.utils.safestring import SafeString

from ami.base.access import newest_ids
from ami.base.deletion import DELETE_LIMIT, reasons_to_keep, touches_more_than
from ami.base.ids import parse_id
from ami.base.links import EMPTY
from ami.base.scoped import ScopedAdminMixin

M = TypeVar("M", bound=Model)


def own_paths(
    model_admin: admin.ModelAdmin[Any], views: Mapping[str, Callable[..., Any]]
) -> list[URLPattern]:
    """The paths of further views of an admin, by their routes; their names omit `_view`."""
    opts, wrapped = model_admin.opts, model_admin.admin_site.admin_view
    prefix = f"{opts.app_label}_{opts.model_name}"
    return [
        path(route, wrapped(view), name=f"{prefix}_{view.__name__.removesuffix('_view')}")
        for route, view in views.items()
    ]


def page_context(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, *, title: str
) -> dict[str, Any]:
    """What the templates of all further pages of an admin need."""
    return {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": model_admin.opts,
        "media": model_admin.media,
    }


class IdSearchAdminMixin(admin.ModelAdmin[Any]):
    """Searches digits as an id, in `id_lookup`, and any other text in `search_fields`."""

    search_fields: ClassVar[Any] = ("=id",)
    search_help_text: ClassVar[str] = "Search by id."
    id_lookup = "pk"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if term.isdecimal():
            pk = parse_id(term)
            return (
                queryset.none() if pk is None else queryset.filter(**{self.id_lookup: pk})
            ), False
        if "\x00" in term:
            return queryset.none(), False
        return (self.search(request, queryset, term) if term else queryset), False

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Return the rows for a term other than an id, in an order that may differ."""
        if tuple(self.get_search_fields(request)) == IdSearchAdminMixin.search_fields:
            return queryset.none()
        return super().get_search_results(request, queryset, term)[0]

    def tell_more(self, request: HttpRequest, count: int, what: str) -> None:
        """Show a message on a list (not for suggestions) that a search is limited to `count`."""
        match = request.resolver_match
        if match and str(match.url_name).endswith("_changelist"):
            text = (
                f"More than {count:,} {what}; the list uses {count:,} of them. "
                "Enter a more specific term."
            )
            self.message_user(request, text, messages.WARNING)


class ReadOnlyAdminMixin(admin.ModelAdmin[Any]):
    """Rows that nobody adds, changes or deletes in the admin."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class BoundedDeletionMixin(admin.ModelAdmin[Any]):
    """Refuses to delete rows that are in use, and deletions of too many rows for one request."""

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        ids = (
            list(objs.values_list("pk", flat=True)[: DELETE_LIMIT + 1])
            if isinstance(objs, QuerySet)
            else [obj.pk for obj in objs]
        )
        if reasons := reasons_to_keep(self.model, ids):
            return [], {}, set(), reasons
        if touches_more_than(DELETE_LIMIT, model=self.model, ids=ids):
            refusal = (
                f"More than {DELETE_LIMIT:,} rows would be deleted or changed, which is too many "
                "for one request. First delete the rows that refer to these, in smaller numbers."
            )
            return [], {}, set(), [refusal]
        return super().get_deleted_objects(objs, request)


class BoundedPaginator(Paginator[M]):
    """Counts at most `LIMIT` rows, however large the table is."""

    LIMIT = 10_000

    @cached_property
    def _counted(self) -> int:
        if isinstance(self.object_list, list):
            return len(self.object_list)
        rows = cast("QuerySet[M]", self.object_list)
        return rows.order_by().values("pk")[: self.LIMIT + 1].count()

    @cached_property
    def count(self) -> int:
        return min(self._counted, self.LIMIT)

    @property
    def has_more(self) -> bool:
        return self._counted > self.LIMIT


class RowIds(list[int]):
    """The ids of rows, which a list counts, slices and copies like a queryset."""

    def _clone(self) -> "RowIds":
        return self


class LargeTableChangeList(ChangeList):
    """Reads the ids of a page first, and then only the page's rows with their counts.

    PostgreSQL also computes the annotations of rows that OFFSET skips. It also reads a table from
    its newest row if it expects to find matching rows soon. If there are few, and all of them are
    old, it would read the whole table. A small result is therefore filtered first and then sorted.
    A list without filters is read project by project.
    """

    model_admin: "LargeTableAdmin[Any]"

    def get_results(self, request: HttpRequest) -> None:
        if self.model_admin.is_action(request):
            self.result_list = []  # The list is not shown: an action reads the selected rows.
            return
        rows = self.queryset
        newest = self._newest_ids()
        self.queryset = rows if newest is None else RowIds(newest)
        super().get_results(request)
        self.queryset = rows
        self.has_more = cast("BoundedPaginator[Any]", self.paginator).has_more
        ids = self.result_list if newest is not None else self._ids_of(self.result_list)
        rows = self.apply_select_related(self.root_queryset.filter(pk__in=ids))
        if self.model_admin.list_only:
            rows = rows.only(*self.model_admin.list_only)
        found = rows.in_bulk()
        self.result_list = [found[pk] for pk in ids if pk in found]

    def _newest_ids(self) -> list[int] | None:
        """Return the ids of a list without filters, if reading them project by project is best."""
        is_filtered = self.query or self.show_all or self.get_filters_params()
        if is_filtered or not set(self.queryset.query.order_by) <= {"-id", "-pk"}:
            return None
        return newest_ids(self.queryset, BoundedPaginator.LIMIT + 1)

    def _ids_of(self, page: QuerySet[Any]) -> list[int]:
        if not self.has_more:
            page.query.order_by = tuple(not_by_index(page.query.order_by))
        return list(page.values_list("pk", flat=True))


def not_by_index(order: Sequence[Any]) -> Iterator[Any]:
    """Return the same order, with a leading id replaced by a sum that no index supports."""
    first, *rest = order
    name = first.lstrip("-") if isinstance(first, str) else ""
    if name in {"id", "pk"} or name.endswith("_id"):
        by_sum = F(name) + 0
        yield by_sum.desc() if first.startswith("-") else by_sum.asc()
    else:
        yield first
    yield from rest


class LargeTableAdmin(
    IdSearchAdminMixin, BoundedDeletionMixin, ScopedAdminMixin, admin.ModelAdmin[M]
):
    """An admin whose list is paginated by id and counts at most `BoundedPaginator.LIMIT` rows.

    On a list, `annotations` are computed only for the rows of one page. `deferred` are columns
    that are too large to transfer. `list_only` are the columns that the list reads, including those
    of `list_select_related`; if it is empty, all are read.
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
    readonly_fields: ClassVar[Any] = ("created_at", "updated_at")

    def get_empty_value_display(self) -> SafeString:
        return EMPTY

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        rows: QuerySet[M] = super().get_queryset(request)
        return cast("QuerySet[M]", rows.defer(*self.deferred).annotate(**self.annotations))

    def row_of_page(
        self, request: HttpRequest, object_id: str, rows: QuerySet[M], *, noun: str = ""
    ) -> M:
        """Return the row with the id of an address. Raises Http404 and PermissionDenied."""
        pk = parse_id(object_id)
        row = rows.filter(pk=pk).first() if pk else None
        if row is None:
            raise Http404(f"There is no {noun or self.opts.verbose_name} {object_id}.")
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def get_field_queryset(
        self, db: str | None, db_field: RelatedField[Any, Any], request: HttpRequest
    ) -> QuerySet[Any] | None:
        """Return the choices of a field, without columns that are too large to transfer."""
        rows: QuerySet[Any] | None = super().get_field_queryset(db, db_field, request)
        related = self.admin_site._registry.get(db_field.remote_field.model)
        if rows is None or not isinstance(related, LargeTableAdmin):
            return rows
        return rows.defer(*related.deferred)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LargeTableChangeList

    def is_action(self, request: HttpRequest) -> bool:
        """Whether Django answers with an action, or redirects if the action returns nothing."""
        return (
            request.method == "POST"
            and ACTION_CHECKBOX_NAME in request.POST
            and "_save" not in request.POST
            and bool(self.get_actions(request))
        )
