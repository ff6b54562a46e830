from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.db.models import F, Func, JSONField, Model, QuerySet, TextField, Value
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from ami.base.admin import LargeTableAdmin
from ami.base.links import EMPTY, change_link
from ami.jobs.journal import JOURNALED
from ami.jobs.models import Job, JobChange

VECTORS = ["logits", "scores", "similarity_vector"]
LONGEST = 80


def _narrow(field: str) -> Func:
    """A JSON column without the vectors that a deleted row is kept with."""
    names = Value(VECTORS, output_field=ArrayField(TextField()))
    template = "(%(expressions)s)"
    return Func(F(field), names, template=template, arg_joiner=" - ", output_field=JSONField())


class TableFilter(admin.SimpleListFilter):
    """By table; Django's own would read every row to learn which tables there are."""

    title = "table"
    parameter_name = "table"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tables = [apps.get_model(label)._meta for label in JOURNALED]
        return [(meta.label_lower, str(meta.verbose_name_plural)) for meta in tables]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobChange]) -> QuerySet[JobChange]:
        return queryset.filter(model=self.value()) if self.value() else queryset


@admin.register(JobChange)
class JobChangeAdmin(LargeTableAdmin[JobChange]):
    """What Jobs did to rows, or what the one did that a filter names. Nobody edits it."""

    annotations = {"former": _narrow("before"), "present": _narrow("after")}
    deferred = ("before", "after")
    list_display = ("kind", "row", "what", "created_at", "job_link")
    list_filter = ("kind", TableFilter)
    list_display_links = None
    actions = None
    readonly_fields = ()

    class Media:
        css = {"all": ["jobs/job.css"]}

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        allowed = lookup in {"job__id__exact", "object_id__exact"}
        return allowed or super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="row")
    def row(self, change: JobChange) -> str:
        return change_link(apps.get_model(change.model), change.object_id)

    @admin.display(description="before → after")
    def what(self, change: Any) -> SafeString:
        if change.kind == JobChange.Kind.LEFT:
            return format_html("{}", change.present["reason"])
        return format_html_join(" · ", '<span class="job-column">{}</span> {}', _columns(change))

    @admin.display(description="job")
    def job_link(self, change: JobChange) -> str:
        return change_link(Job, change.job_id)


def _columns(change: Any) -> Iterator[tuple[str, str]]:
    """Each column with what became of it; of created and deleted rows, those that hold a value."""
    model = apps.get_model(change.model)
    before, after = change.former or {}, change.present or {}
    for column in {**before, **after}:
        former, present = (_value(model, column, side.get(column)) for side in (before, after))
        name = column.removesuffix("_id").replace("_", " ")
        if change.kind == JobChange.Kind.CHANGED:
            yield name, format_html("{} → {}", former, present)
        elif {**before, **after}[column] is not None:
            yield name, present if before == {} else former


def _value(model: type[Model], column: str, value: Any) -> str:
    if value is None:
        return EMPTY
    field: Any = next((f for f in model._meta.concrete_fields if f.column == column), None)
    if field and field.related_model:
        return change_link(field.related_model, value)
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return Truncator(text).chars(LONGEST)
