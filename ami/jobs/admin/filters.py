"""The filters of the list of Jobs."""

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, F, Func, Q, QuerySet, Value
from django.http import HttpRequest

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
