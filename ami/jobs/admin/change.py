from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.postgres.fields import ArrayField
from django.db.models import F, FloatField, Func, JSONField, Model, QuerySet, TextField, Value
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from ami.base.admin import LargeTableAdmin, LargeTableChangeList
from ami.base.ids import parse_id
from ami.base.links import EMPTY, change_link
from ami.jobs.admin.left import Causes
from ami.jobs.journal import JOURNALED
from ami.jobs.models import Job, JobChange
from ami.jobs.models.change import WARNINGS
from ami.main.models import Taxon
from ami.ml.models import Algorithm

VECTORS = ["logits", "scores", "similarity_vector"]
LONGEST = 80
IMPLIED = ("id", "job_id", "timestamp")
NAMED = (Taxon, Algorithm)

# By which column a row leads to the one that it belongs to, where it is not there itself.
PARENTS = {
    "main.classification": "detection_id",
    "main.detection": "source_image_id",
    "main.identification": "occurrence_id",
}


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


class WarningFilter(admin.SimpleListFilter):
    """By what the run that the page is about warns of: its figures that are to be heeded."""

    title = "warning"
    parameter_name = "warning"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        pk = parse_id(request.GET.get("job__id__exact", ""))
        job = Job.objects.only("progress").filter(pk=pk).first() if pk else None
        return [(param.key, param.title) for param in job.progress.heeded] if job else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobChange]) -> QuerySet[JobChange]:
        if not self.value():
            return queryset
        created = queryset.filter(kind=JobChange.Kind.CREATED, model="main.classification")
        return created.alias(warnings=WARNINGS).filter(warnings__contains=[self.value()])


class JobChangeList(LargeTableChangeList):
    """A page of changes, each of which knows the rows that they can lead to."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        known = _known(self.result_list)
        for change in self.result_list:
            change.known = known
        left = [c for c in self.result_list if c.kind == JobChange.Kind.LEFT]
        causes = Causes((c.present.get("job") for c in left), (c.present.get("user") for c in left))
        for change in left:
            change.cause = causes.of(change.present.get("job"), change.present.get("user"))


@admin.register(JobChange)
class JobChangeAdmin(LargeTableAdmin[JobChange]):
    """What Jobs did to rows, or what the one did that a filter names. Nobody edits it."""

    annotations = {"former": _narrow("before"), "present": _narrow("after")}
    list_only = ("kind", "model", "object_id", "created_at", "job__dry_run")
    list_select_related = ("job",)
    list_display = ("job_link", "kind_label", "row", "what", "created_at")
    list_filter = ("kind", TableFilter, WarningFilter)
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

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's, titled with the Job that the filter names."""
        pk = parse_id(request.GET.get("job__id__exact", ""))
        job = Job.objects.only("dry_run").filter(pk=pk).first() if pk else None
        if job:
            title = f"What Job {pk} would change" if job.dry_run else f"Changes of Job {pk}"
            extra_context = {**(extra_context or {}), "title": title}
        return super().changelist_view(request, extra_context)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return JobChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Without the Job where the filter, and so the title, names it."""
        columns = super().get_list_display(request)
        named = {"job_link"} if "job__id__exact" in request.GET else set()
        return [column for column in columns if column not in named]

    @admin.display(description="kind", ordering="kind")
    def kind_label(self, change: JobChange) -> str:
        label = change.get_kind_display()
        return f"Would be {label.lower()}" if change.job.dry_run else label

    @admin.display(description="row")
    def row(self, change: Any) -> str:
        model = apps.get_model(change.model)
        if change.object_id in change.known[model]:
            return change_link(model, change.object_id)
        is_new = change.job.dry_run and change.kind == JobChange.Kind.CREATED
        noun = str(model._meta.verbose_name)
        name = f"New {noun}" if is_new else f"{noun.capitalize()} {change.object_id}"
        parent = PARENTS.get(change.model)
        row = {**(change.former or {}), **(change.present or {})}
        if parent is None or row.get(parent) is None:
            return name
        return format_html("{} of {}", name, _value(change, parent, row[parent]))

    @admin.display(description="before → after")
    def what(self, change: Any) -> SafeString:
        if change.kind == JobChange.Kind.LEFT:
            return format_html("{}, because of {}", change.present["reason"], change.cause)
        return format_html_join(" · ", '<span class="job-column">{}</span> {}', _columns(change))

    @admin.display(description="job")
    def job_link(self, change: JobChange) -> str:
        return change_link(Job, change.job_id)


def _columns(change: Any) -> Iterator[tuple[str, str]]:
    """Each column with what became of it; of created and deleted rows, those that hold a value."""
    before, after = change.former or {}, change.present or {}
    for column in _order(change.model):
        if column not in before and column not in after:
            continue
        former = _value(change, column, before.get(column))
        present = _value(change, column, after.get(column), is_new=change.job.dry_run)
        name = column.removesuffix("_id").replace("_", " ")
        if change.kind == JobChange.Kind.CHANGED:
            yield name, format_html("{} → {}", former, present)
        elif (value := present if not before else former) != EMPTY:
            yield name, value


def _value(change: Any, column: str, value: Any, *, is_new: bool = False) -> str:
    """A column's value; a row that is not there is new, where the run did not keep what it made."""
    if value is None:
        return EMPTY
    if target := _targets(change.model).get(column):
        if value in change.known[target]:
            return change_link(target, value, change.known[target][value])
        noun = str(target._meta.verbose_name)
        return f"a new {noun}" if is_new else f"{noun.capitalize()} {value}"
    if column in _numbers(change.model):
        return f"{float(value):.6g}"
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return Truncator(text).chars(LONGEST)


@cache
def _order(label: str) -> list[str]:
    """The columns of a journaled table as its model lists them, less what goes without saying."""
    fields: Any = apps.get_model(label)._meta.concrete_fields
    return [field.column for field in fields if field.column not in IMPLIED]


@cache
def _numbers(label: str) -> set[str]:
    """The columns that hold a fraction, which the page need not show to the last digit."""
    fields: Any = apps.get_model(label)._meta.concrete_fields
    return {field.column for field in fields if isinstance(field, FloatField)}


@cache
def _targets(label: str) -> dict[str, type[Model]]:
    """The tables that a journaled one refers to, by column."""
    fields: Any = apps.get_model(label)._meta.concrete_fields
    return {field.column: field.related_model for field in fields if field.related_model}


def _known(changes: Iterable[Any]) -> dict[type[Model], dict[int, str | None]]:
    """The rows that `changes` name and that are there, with the names of taxa and algorithms.

    One query a table. What a dry run has created is not there, nor what was deleted since.
    """
    ids: dict[type[Model], set[int]] = defaultdict(set)
    for change in changes:
        ids[apps.get_model(change.model)].add(change.object_id)
        for column, target in _targets(change.model).items():
            for side in (change.former, change.present):
                if (pk := (side or {}).get(column)) is not None:
                    ids[target].add(pk)
    return {
        model: dict(
            model._default_manager.filter(pk__in=pks).values_list(
                "pk", "name" if model in NAMED else Value(None, output_field=TextField())
            )
        )
        for model, pks in ids.items()
    }
