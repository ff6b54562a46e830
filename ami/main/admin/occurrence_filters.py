"""List filters of occurrences by what is in none of their columns."""

from abc import ABC, abstractmethod
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from ami.base.access import visible_rows_of
from ami.base.ids import parse_id
from ami.main.admin.filters import Range, TypedListFilter, id_input, parse_day
from ami.main.models import Detection, Event, Identification, TaxaList, Taxon


class NightFilter(Range, TypedListFilter):
    """Filters occurrences by the evening of their night, from the first day to the last."""

    title = "date of the night"
    parameters = ("night_from", "night_to")
    attrs = {"type": "date"}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = (self.typed(name) for name in self.parameters)
        if not (first or last):
            return queryset
        if (first and parse_day(first) is None) or (last and parse_day(last) is None):
            return queryset.none()
        # A night is named after the date of its evening, which can be compared as text.
        nights = Event.objects.all()
        if first:
            nights = nights.filter(group_by__gte=str(parse_day(first)))
        if last:
            nights = nights.filter(group_by__lte=str(parse_day(last)))
        ids = set(nights.values_list("pk", flat=True))
        return queryset.filter(event__any_of=ids)

    def render_widget(self) -> str:
        return self.render_range([(name, self.typed(name)) for name in self.parameters], self.title)


class _TypedIdFilter(TypedListFilter, ABC):
    """Filters by an id that is in no column of the list; an invalid one matches no row."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (text := self.typed(self.parameters[0])):
            return queryset
        pk = parse_id(text)
        return queryset.none() if pk is None else self.narrow(request, queryset, pk)

    @abstractmethod
    def narrow(self, request: HttpRequest, queryset: QuerySet[Any], pk: int) -> QuerySet[Any]:
        """Return the rows of the list that match the id."""

    def render_widget(self) -> str:
        return id_input(self.parameters[0], self.typed(self.parameters[0]), str(self.title))


class RunFilter(_TypedIdFilter):
    """Filters occurrences for which a Job has written a classification."""

    title = "run"
    parameters = ("run",)

    def narrow(self, request: HttpRequest, queryset: QuerySet[Any], pk: int) -> QuerySet[Any]:
        written = Detection.objects.filter(classifications__job=pk)
        return queryset.filter(pk__in=written.values("occurrence"))


class AlgorithmFilter(_TypedIdFilter):
    """Filters occurrences with a classification by an algorithm.

    Most algorithms classify either most occurrences or few. The rows are therefore compared one by
    one, from the newest, and not by a join of all classifications.
    """

    title = "algorithm"
    parameters = ("algorithm",)

    def narrow(self, request: HttpRequest, queryset: QuerySet[Any], pk: int) -> QuerySet[Any]:
        own = Detection.objects.filter(occurrence=OuterRef("pk"), classifications__algorithm=pk)
        return queryset.filter(Exists(own))


class TaxaListFilter(_TypedIdFilter):
    """Filters occurrences whose taxon is in a taxa list that the person may see."""

    title = "taxa list"
    parameters = ("taxa_list",)

    def narrow(self, request: HttpRequest, queryset: QuerySet[Any], pk: int) -> QuerySet[Any]:
        lists = visible_rows_of(TaxaList, request.user).filter(pk=pk)
        ids = set(Taxon.objects.filter(lists__in=lists).values_list("pk", flat=True))
        return queryset.filter(determination__any_of=ids)


class IdentifiedFilter(admin.SimpleListFilter):
    """Filters occurrences with an identification that is not withdrawn."""

    title = "identification"
    parameter_name = "identified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Identified"), ("no", "Not identified")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        said = Exists(
            Identification.objects.filter(
                occurrence=OuterRef("pk"), withdrawn=False, taxon__isnull=False
            )
        )
        match self.value():
            case None:
                return queryset
            case "yes":
                return queryset.filter(said)
            case "no":
                return queryset.filter(~said)
        return queryset.none()
