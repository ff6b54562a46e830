from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from ami.base.admin import BoundedPaginator, LargeTableAdmin
from ami.base.links import count_link, rows_link
from ami.base.next_steps import IMPORT_NAMES
from ami.base.subqueries import count_subquery
from ami.main.admin.determinations import RedetermineOnDeleteMixin
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin, IdFilter
from ami.main.admin.history import JobsHistoryMixin
from ami.main.admin.search import named
from ami.main.models import Occurrence, TaxaList, Taxon


class TaxonForm(forms.ModelForm[Taxon]):
    def clean_parent(self) -> Taxon | None:
        return self._refuse_circle("parent")

    def clean_synonym_of(self) -> Taxon | None:
        return self._refuse_circle("synonym_of")

    def _refuse_circle(self, field: str) -> Taxon | None:
        """Return the chosen taxon. Refuse it if following `field` leads back to this one."""
        chosen: Taxon | None = self.cleaned_data[field]
        seen: set[int] = set()
        step = chosen
        while step is not None and step.pk not in seen:
            if step.pk == self.instance.pk:
                raise forms.ValidationError(
                    f"{chosen} is already under {self.instance}; choose another taxon."
                )
            seen.add(step.pk)
            step = getattr(step, field)
        return chosen


@admin.register(Taxon)
class TaxonAdmin(
    JobsHistoryMixin, RedetermineOnDeleteMixin, AutocompleteFilterMixin, LargeTableAdmin[Taxon]
):
    form = TaxonForm
    occurrence_lookup = "determination"
    next_step = IMPORT_NAMES
    list_display = (
        "name",
        "id",
        "rank",
        "occurrences_link",
        "parent",
        "synonym_of",
        "active",
        "identifiable",
    )
    list_filter = (
        "rank",
        "active",
        "identifiable",
        ("parent", AutocompleteFilter),
        ("lists", IdFilter),
    )
    list_select_related = ("parent", "synonym_of")
    list_only = ("name", "rank", "active", "identifiable", "parent__name", "synonym_of__name")
    search_fields = ("name",)
    search_help_text = "Search by id, name or search name."
    sortable_by = ("id", "name")
    autocomplete_fields = ("parent", "synonym_of", "projects")
    readonly_fields = ("occurrences_link", "created_at", "updated_at")

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Compare the names once; the list then counts and reads what was found by id."""
        found, limit = named(queryset, term), BoundedPaginator.LIMIT
        ids = set(found.order_by().values_list("pk", flat=True)[: limit + 1])
        return found if len(ids) > limit else queryset.filter(pk__any_of=ids)

    @admin.display(description="occurrences")
    def occurrences_link(self, obj: Taxon) -> str:
        return rows_link(Occurrence, determination__id__exact=obj.pk)

    def save_model(self, request: HttpRequest, obj: Taxon, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "identifiable" in form.changed_data:
            self.message_user(
                request,
                "Existing determinations were not changed. Recompute the determinations of the "
                f"occurrences with predictions of {obj}.",
                messages.WARNING,
            )


@admin.register(TaxaList)
class TaxaListAdmin(JobsHistoryMixin, LargeTableAdmin[TaxaList]):
    """The page of a list links to its taxa, because there can be thousands; imports add them."""

    annotations = {"taxa_count": count_subquery(TaxaList.taxa.through.objects.all(), "taxalist")}
    next_step = IMPORT_NAMES
    list_display = ("name", "id", "taxa_link", "occurrences_link", "created_at")
    search_fields = ("name",)
    search_help_text = "Search by id or name."
    sortable_by = ("id", "name")
    exclude = ("taxa",)
    autocomplete_fields = ("projects",)
    readonly_fields = ("taxa_link", "occurrences_link", "created_at", "updated_at")

    @admin.display(description="taxa")
    def taxa_link(self, obj: Any) -> str:
        return count_link(Taxon, getattr(obj, "taxa_count", 0), lists__id__exact=obj.pk)

    @admin.display(description="occurrences")
    def occurrences_link(self, obj: TaxaList) -> str:
        return rows_link(Occurrence, taxa_list=obj.pk)
