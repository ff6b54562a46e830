from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.postgres.fields import ArrayField
from django.db.models import F, FloatField, Func, JSONField, Model, Q, QuerySet, TextField, Value
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from ami.base.admin import LargeTableAdmin, LargeTableChangeList
from ami.base.links import EMPTY, change_link, list_url
from ami.base.next_steps import NextStep
from ami.jobs.admin.change_filters import (
    OccurrenceFilter,
    TableFilter,
    TransitionFilter,
    WarningFilter,
    filtered_job,
)
from ami.jobs.admin.crops import crop_link
from ami.jobs.admin.known import known_rows, targets
from ami.jobs.admin.left import Causes
from ami.jobs.models import Job, JobChange
from ami.jobs.models.change import NAMES_CHANGED
from ami.main.models import Occurrence, Taxon

TAXA = 100  # the most taxa that a search looks for
VECTORS = ["logits", "scores", "similarity_vector"]
LONGEST = 80
IMPLIED = ("id", "job_id", "timestamp")

# The column that names the row to which a row of this table belongs. A page shows that row where
# the row itself does not exist.
PARENTS = {
    "main.classification": "detection_id",
    "main.detection": "source_image_id",
    "main.identification": "occurrence_id",
}


def _narrow(field: str) -> Func:
    """A JSON column without the vectors that the journal keeps of a deleted row."""
    names = Value(VECTORS, output_field=ArrayField(TextField()))
    template = "(%(expressions)s)"
    return Func(F(field), names, template=template, arg_joiner=" - ", output_field=JSONField())


class JobChangeList(LargeTableChangeList):
    """A page of changes, each with the existing rows that it can link to."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = _with_known_rows(self.result_list)


@admin.register(JobChange)
class JobChangeAdmin(LargeTableAdmin[JobChange]):
    """The changes that Jobs made to rows, or those of one Job if filtered. Read-only."""

    annotations = {"former": _narrow("before"), "present": _narrow("after")}
    list_only = ("kind", "model", "object_id", "created_at", "job__dry_run")
    list_select_related = ("job",)
    next_step = NextStep(
        "{} that found nothing to change, or whose journal was deleted, have no changes.",
        "Jobs",
        "jobs.Job",
    )
    list_display = ("job_link", "crop", "kind_label", "row", "what", "occurrence", "created_at")
    list_filter = ("kind", TableFilter, OccurrenceFilter, TransitionFilter, WarningFilter)
    search_help_text = "Search by the id of a row, or by a name that an occurrence had or has."
    list_display_links = None
    actions = None
    readonly_fields = ()

    id_lookup = "object_id"  # of the changed row

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
        """Add the Job that the filter names to the title."""
        if job := filtered_job(request):
            named = f"Job {job.pk}"
            title = f"What {named} would change" if job.dry_run else f"Changes of {named}"
            extra_context = {**(extra_context or {}), "title": title}
        return super().changelist_view(request, extra_context)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return JobChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Leave out the Job's column if the filter, and so the title, names the Job."""
        columns = super().get_list_display(request)
        named = {"job_link"} if "job__id__exact" in request.GET else set()
        return [column for column in columns if column not in named]

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Find changes by taxa before and after."""
        taxa = Taxon.objects.filter(name__icontains=term).order_by("pk")
        ids = list(taxa.values_list("pk", flat=True)[: TAXA + 1])
        if len(ids) > TAXA:
            self.tell_more(request, TAXA, "taxa match")
        named = Q(taxon_before__in=ids[:TAXA]) | Q(taxon_after__in=ids[:TAXA])
        return queryset.filter(NAMES_CHANGED, named)

    @admin.display(description="crop")
    def crop(self, change: Any) -> SafeString:
        return crop_link(change.place.detection)

    @admin.display(description="occurrence")
    def occurrence(self, change: Any) -> str:
        """The occurrence of the row, and a link to what the Job changed of it."""
        pk = change.place.occurrence
        if pk not in change.known[Occurrence]:
            return EMPTY if pk is None else str(pk)
        url = list_url(JobChange, job__id__exact=change.job_id, occurrence=pk)
        link = change_link(Occurrence, pk, pk)
        return format_html('{} (<a href="{}">its changes</a>)', link, url)

    @admin.display(description="kind", ordering="kind")
    def kind_label(self, change: JobChange) -> str:
        return _kind(change)

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
        return _what(change)

    @admin.display(description="job")
    def job_link(self, change: JobChange) -> str:
        return change_link(Job, change.job_id)


def changes_of(row: Model, user: Any, *, limit: int) -> list[dict[str, Any]]:
    """Return the latest changes that Jobs made to a row, as a table shows them."""
    changes = (
        JobChange.objects.for_user(user)
        .filter(object_id=row.pk, model=row._meta.label_lower)
        .annotate(**JobChangeAdmin.annotations)
        .select_related("job")
        .only("kind", "model", "object_id", "created_at", "job__dry_run", "job__name")
        .order_by("-pk")[:limit]
    )
    return [
        {
            "time": change.created_at,
            "job": change_link(Job, change.job_id, f"Job {change.job_id}: {change.job.name}"),
            "kind": _kind(change),
            "what": _what(change),
        }
        for change in _with_known_rows(changes)
    ]


def _kind(change: JobChange) -> str:
    label = change.get_kind_display()
    return f"Would be {label.lower()}" if change.job.dry_run else label


def _what(change: Any) -> SafeString:
    if change.kind == JobChange.Kind.LEFT:
        return format_html("{}, because of {}", change.present["reason"], change.cause)
    return format_html_join(" · ", '<span class="job-column">{}</span> {}', _columns(change))


def _with_known_rows(changes: Iterable[Any]) -> list[Any]:
    """The changes, each with the existing rows that it names, and the cause of a row left alone."""
    listed = list(changes)
    known = known_rows((c.model, c.object_id, c.former, c.present) for c in listed)
    for change in listed:
        change.known = known
        model = apps.get_model(change.model)
        change.place = known.place(model, change.object_id, change.present, change.former)
    left = [change for change in listed if change.kind == JobChange.Kind.LEFT]
    causes = Causes((c.present.get("job") for c in left), (c.present.get("user") for c in left))
    for change in left:
        change.cause = causes.of(change.present.get("job"), change.present.get("user"))
    return listed


def _columns(change: Any) -> Iterator[tuple[str, str]]:
    """Each column with its values; of created and deleted rows, only columns with a value."""
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
    """A column's value. A missing row is called new if `is_new`: a dry run does not keep rows."""
    if value is None or value == "":
        return EMPTY
    if target := targets(change.model).get(column):
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
    """The columns of a journaled table in the order of its model, without the implied ones."""
    fields: Any = apps.get_model(label)._meta.concrete_fields
    return [field.column for field in fields if field.column not in IMPLIED]


@cache
def _numbers(label: str) -> set[str]:
    """The columns of floating-point numbers, which the page shows with 6 digits."""
    fields: Any = apps.get_model(label)._meta.concrete_fields
    return {field.column for field in fields if isinstance(field, FloatField)}
