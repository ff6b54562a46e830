"""List filters by a related row that never list the related table."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from ami.base.ids import parse_id


class IdFilter(admin.FieldListFilter):
    """Takes the id of the related row."""

    template = "admin/main/related_filter.html"

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
        super().__init__(field, request, params, model, model_admin, field_path)
        self.title = getattr(field, "verbose_name", field.related_model._meta.verbose_name)
        self.value = _last(self.used_parameters.get(self.lookup))
        self.pk = parse_id(self.value)

    def expected_parameters(self) -> list[str | None]:
        return [self.lookup]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value:
            return queryset
        return queryset.none() if self.pk is None else queryset.filter(**{self.lookup: self.pk})

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """What the template shows: the widget, and the rest of the query to keep."""
        yield {
            "widget": self.render_widget(),
            "kept": [
                (name, value)
                for name, values in changelist.filter_params.items()
                if name != self.lookup
                for value in values
            ],
            "clear": self.value and changelist.get_query_string(remove=[self.lookup]),
        }

    def render_widget(self) -> str:
        widget = forms.NumberInput({"min": 1, "placeholder": "id", "aria-label": self.title})
        return widget.render(self.lookup, self.value)


def _last(values: Any) -> str:
    """The last of a parameter's values, as Django takes it; "" where there is none."""
    return str(values[-1]).strip() if values else ""


class AutocompleteFilter(IdFilter):
    """Finds the related row by what is typed, as an autocomplete field does."""

    def render_widget(self) -> str:
        widget = AutocompleteSelect(
            self.field, self.admin_site, {"data-width": "100%", "aria-label": self.title}
        )
        model: Any = self.field.related_model
        related = model._default_manager.all()
        field = forms.ModelChoiceField(related, required=False, widget=widget)
        return str(field.widget.render(self.lookup, self.pk, {"id": f"filter-{self.lookup}"}))


class AutocompleteFilterMixin(admin.ModelAdmin[Any]):
    """Loads on the list what an :class:`AutocompleteFilter` needs in the browser."""

    @property
    def media(self) -> forms.Media:
        select = AutocompleteSelect(None, self.admin_site)
        return super().media + select.media + forms.Media(css={"all": ["main/admin.css"]})
