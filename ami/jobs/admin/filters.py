"""The filters of the list of Jobs."""

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, F, Func, Q, QuerySet, Value
from django.http import HttpRequest

from ami.base.ids import parse_id
from ami.jobs.admin.offers import OFFERS, JobOffers
from ami.jobs.engine.registry import JOB_TYPES
from ami.jobs.journal.revert import reverts_of
from ami.jobs.models import Job

WITH_WARNINGS = '$.stages[*].params[*] ? (@.warning != "" && @.value > 0)'


class _ChoiceFilter(admin.SimpleListFilter):
    """A filter by conditions with labels."""

    def conditions(self) -> dict[str, tuple[str, Q]]:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        choices = [(key, label) for key, (label, _) in self.conditions().items()]
        return sorted(choices, key=lambda choice: choice[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        chosen = self.conditions().get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset


class MethodFilter(_ChoiceFilter):
    """Filter by what Jobs do."""

    title = "method"
    parameter_name = "method"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        found: dict[str, tuple[str, Q]] = {}
        for job_type in JOB_TYPES:
            found |= (OFFERS.get(job_type) or JobOffers()).methods(job_type)
        return found


class ScopeFilter(_ChoiceFilter):
    """Filter by the kind of rows that Jobs work on."""

    title = "scope"
    parameter_name = "scope"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        found: dict[str, tuple[str, Q]] = {}
        for offers in OFFERS.values():
            found |= offers.kinds_of_scope()
        return found


class _OwnerFilter(admin.SimpleListFilter):
    """A filter by a row that the visible Jobs refer to; all such filters share one query."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        if not hasattr(request, "_owners"):
            jobs = model_admin.get_queryset(request).order_by()
            columns = ("project", "project__name", "user", "user__name", "user__email")
            request._owners = list(jobs.values_list(*columns).distinct())  # type: ignore[attr-defined]
        owners: list[tuple[Any, ...]] = request._owners  # type: ignore[attr-defined]
        found = {str(pk): name for pk, name in map(self.owner, owners) if pk}
        return sorted(found.items(), key=lambda choice: choice[1].lower())

    def owner(self, row: tuple[Any, ...]) -> tuple[int | None, str]:
        """The id and the name of the row, out of the columns of the query."""
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        if not self.value():
            return queryset
        pk = parse_id(str(self.value()))
        return queryset.none() if pk is None else queryset.filter(**{str(self.parameter_name): pk})


class ProjectFilter(_OwnerFilter):
    """Filter by project."""

    title = "project"
    parameter_name = "project"

    def owner(self, row: tuple[Any, ...]) -> tuple[int | None, str]:
        return row[0], row[1]


class PersonFilter(_OwnerFilter):
    """Filter by the person who ran the Job."""

    title = "run by"
    parameter_name = "user"

    def owner(self, row: tuple[Any, ...]) -> tuple[int | None, str]:
        return row[2], row[3] or row[4]


class NoticeFilter(admin.SimpleListFilter):
    """Filter by what the list shows besides the outcome."""

    title = "notice"
    parameter_name = "notice"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("warnings", "With warnings"), ("reverted", "Reverted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        if self.value() == "warnings":
            path = Value(WITH_WARNINGS)
            found = Func(
                F("progress"),
                path,
                template="jsonb_path_exists(%(expressions)s::jsonpath)",
                output_field=BooleanField(),
            )
            return queryset.filter(found)
        if self.value() == "reverted":
            reverts = Job.objects.filter(reverts__isnull=False)
            former = {pk for pk in reverts.values_list("reverts", flat=True) if pk}
            return queryset.filter(pk__in=reverts_of(former).keys())
        return queryset
