"""List filters by an id, a range or a typed name, which never list a related table."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from math import isfinite
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Model, QuerySet
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ami.base.access import visible_rows_of
from ami.base.ids import parse_id


class _TypedFilter(admin.ListFilter, ABC):
    """A form with one or more fields. It keeps the typed values. Invalid values match no row."""

    template = "admin/main/related_filter.html"

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Yield what the template shows: the widget, and the other query parameters."""
        own = [str(name) for name in self.expected_parameters()]
        yield {
            "widget": self.render_widget(),
            "kept": [
                (name, value)
                for name, values in changelist.filter_params.items()
                if name not in own
                for value in values
            ],
            "clear": any(map(self.typed, own)) and changelist.get_query_string(remove=own),
        }

    def typed(self, name: str) -> str:
        """Return the last value of a parameter, as Django does, or "" if there is none."""
        values: Any = self.used_parameters.get(name)
        return str(values[-1]).strip() if values else ""

    @abstractmethod
    def render_widget(self) -> str:
        """The field or fields, as HTML."""


class _TypedFieldFilter(_TypedFilter, admin.FieldListFilter):
    """A typed filter for a column, or for a row that a column refers to."""


class TypedListFilter(_TypedFilter):
    """A typed filter for something other than a column; `parameters` are its query parameters."""

    parameters: tuple[str, ...]

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, Any],
        model: type[Model],
        model_admin: admin.ModelAdmin[Any],
    ) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.parameters:
            if name in params:
                self.used_parameters[name] = params.pop(name)

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [*self.parameters]


def _input(**attrs: Any) -> SafeString:
    """An input without the template of Django's widgets, which takes longer; `_` stands for `-`."""
    return format_html("<input{}>", flatatt({k.replace("_", "-"): v for k, v in attrs.items()}))


def id_input(name: str, value: str, label: str) -> SafeString:
    return _input(type="number", name=name, value=value, min=1, placeholder="id", aria_label=label)


class IdFilter(_TypedFieldFilter):
    """Filters by the id of the related row."""

    def __init__(  # noqa: PLR0917 - the signature is Django's
        self,
        field: Any,
        request: HttpRequest,
        params: dict[str, Any],
        model: type[Model],
        model_admin: admin.ModelAdmin[Any],
        field_path: str,
    ) -> None:
        self.lookup = f"{field_path}__id__exact"
        self.admin_site = model_admin.admin_site
        self.request: Any = request
        super().__init__(field, request, params, model, model_admin, field_path)
        self.title = getattr(field, "verbose_name", field.related_model._meta.verbose_name)
        self.value = self.typed(self.lookup)
        self.related = visible_rows_of(field.related_model, request.user)
        self.pk = self._visible(self.read(self.value))

    def read(self, text: str) -> int | None:
        """Return the id that was typed; None if it is not one."""
        return parse_id(text)

    def _visible(self, pk: int | None) -> int | None:
        """Return the id, or None if the row is one of a foreign project, and so does not exist."""
        if pk is None or self.request.user.is_superuser:
            return pk
        return pk if self.related.filter(pk=pk).exists() else None

    def expected_parameters(self) -> list[str | None]:
        return [self.lookup]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value:
            return queryset
        return queryset.none() if self.pk is None else queryset.filter(**{self.lookup: self.pk})

    def render_widget(self) -> str:
        return id_input(self.lookup, self.value, str(self.title))


class AutocompleteFilter(IdFilter):
    """Finds the related row by typing, like an autocomplete field.

    Without JavaScript, an input takes an id, or a name, of which the first match is used.
    """

    chosen: list[Model]

    def read(self, text: str) -> int | None:
        if (pk := parse_id(text)) is not None or not text or not self._may_name():
            return pk
        related_admin = self.admin_site.get_model_admin(self.related.model)
        rows = related_admin.get_search_results(self.request, self.related, text)[0].order_by("pk")
        same = rows.filter(name__iexact=text).first()
        return getattr(same or rows.first(), "pk", None)

    def _may_name(self) -> bool:
        opts = self.related.model._meta
        may: bool = self.request.user.has_perm(f"{opts.app_label}.view_{opts.model_name}")
        return may

    def _visible(self, pk: int | None) -> int | None:
        """Read the row, which the field shows; an id without a visible row matches nothing."""
        self.chosen = [] if pk is None else list(self.related.filter(pk=pk))
        return pk if self.chosen else None

    def render_widget(self) -> str:
        attrs = {
            "name": self.lookup,
            "id": f"filter-{self.lookup}",
            "data-width": "100%",
            "aria-label": self.title,
        }
        widget: Any = AutocompleteSelect(self.field, self.admin_site)
        chosen = self.chosen if self._may_name() else []
        plain = {"name": self.lookup, "value": self.value, "placeholder": "id or name"}
        return format_html(
            '<select{}><option value=""></option>{}</select><noscript>{}</noscript>',
            flatatt(widget.build_attrs(attrs)),
            format_html_join(
                "", '<option value="{}" selected>{}</option>', ((one.pk, one) for one in chosen)
            ),
            _input(**plain, aria_label=self.title),
        )


class Range:
    """Two fields, from and to, both inclusive; either may be empty."""

    attrs: dict[str, Any]

    def render_range(self, pair: list[tuple[str, str]], title: str) -> SafeString:
        return format_html_join(
            "",
            '<label class="bound"><span>{}</span> {}</label>',
            (
                (end, _input(**self.attrs, name=name, value=text, aria_label=f"{title}, {end}"))
                for (name, text), end in zip(pair, ("from", "to"), strict=True)
            ),
        )


class NumberRangeFilter(Range, _TypedFieldFilter):
    """Filters by the lowest and the highest value."""

    attrs = {"type": "number", "step": "any"}

    def expected_parameters(self) -> list[str | None]:
        return [f"{self.field_path}__gte", f"{self.field_path}__lte"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        typed = {name: self.typed(name) for name in map(str, self.expected_parameters())}
        bounds = {name: self.bound(name, text) for name, text in typed.items() if text}
        return queryset.none() if None in bounds.values() else queryset.filter(**bounds)

    def bound(self, name: str, text: str) -> Any:
        """Return the value that the typed text stands for, or None if it is invalid."""
        try:
            number = float(text)
        except ValueError:
            return None
        return number if isfinite(number) else None

    def render_widget(self) -> str:
        names = [str(name) for name in self.expected_parameters()]
        return self.render_range([(name, self.typed(name)) for name in names], str(self.title))


class DateRangeFilter(NumberRangeFilter):
    """Filters by the first and the last day."""

    attrs = {"type": "date"}

    def expected_parameters(self) -> list[str | None]:
        return [f"{self.field_path}__gte", f"{self.field_path}__lt"]

    def bound(self, name: str, text: str) -> Any:
        day = parse_day(text)
        if day is None:
            return None
        start = timezone.make_aware(datetime.combine(day, time.min))
        return start + timedelta(days=1) if name.endswith("__lt") else start


def parse_day(text: str) -> date | None:
    """Parse YYYY-MM-DD. Return None for an invalid day, or the first or last days of `date`."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return day if day and date.min < day < date.max - timedelta(days=1) else None


class AutocompleteFilterMixin(admin.ModelAdmin[Any]):
    """Loads the scripts that :class:`AutocompleteFilter` needs."""

    @property
    def media(self) -> forms.Media:
        select = AutocompleteSelect(None, self.admin_site)
        return super().media + select.media
