from typing import Any, ClassVar

from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from ami.main.determinations import update_determinations
from ami.main.models import Occurrence


class RedetermineOnDeleteMixin(admin.ModelAdmin[Any]):
    """Updates determinations when a person deletes rows that support them.

    `occurrence_lookup` is the lookup from an occurrence to the rows of this model.
    """

    occurrence_lookup: ClassVar[str]

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        with transaction.atomic():
            touched = self.occurrences_of([obj.pk])
            super().delete_model(request, obj)
            update_determinations(touched)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            touched = self.occurrences_of(list(queryset.values_list("pk", flat=True)))
            super().delete_queryset(request, queryset)
            update_determinations(touched)

    def occurrences_of(self, pks: list[Any]) -> list[int]:
        touched = Occurrence.objects.filter(**{f"{self.occurrence_lookup}__in": pks})
        return list(touched.order_by().values_list("pk", flat=True).distinct())


class RedetermineMixin(RedetermineOnDeleteMixin):
    """Updates determinations when a person edits or deletes rows that support them."""

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        with transaction.atomic():
            former = self.occurrences_of([obj.pk])
            super().save_model(request, obj, form, change)
            update_determinations({*former, *self.occurrences_of([obj.pk])})
