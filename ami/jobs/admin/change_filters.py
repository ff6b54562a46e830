"""The filters of the list of changes."""

import re
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator

from ami.base.ids import parse_id
from ami.jobs.admin.crops import of_taxa
from ami.jobs.journal.transitions import Transition, transitions_of
from ami.jobs.journal.triggers import JOURNALED
from ami.jobs.models import Job, JobChange
from ami.jobs.models.change import HAS_WARNINGS, WARNINGS
from ami.main.models import Classification, Detection, Identification, Occurrence, Taxon

NO_TAXON = "no taxon"
NAME = 60  # the longest name in the sidebar


def filtered_job(request: HttpRequest) -> Job | None:
    """The visible Job that the list is filtered by; read once per request."""
    if not hasattr(request, "_filtered_job"):
        pk = parse_id(request.GET.get("job__id__exact", ""))
        jobs = Job.objects.for_user(request.user).only(
            "dry_run", "progress", "finished_at", "pruned_at"
        )
        request._filtered_job = jobs.filter(pk=pk).first() if pk else None  # type: ignore[attr-defined]
    found: Job | None = request._filtered_job  # type: ignore[attr-defined]
    return found


class TableFilter(admin.SimpleListFilter):
    """Filter by table. Django's own filter would read every row to find the tables."""

    title = "table"
    parameter_name = "table"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tables = [apps.get_model(label)._meta for label in JOURNALED]
        return [(meta.label_lower, str(meta.verbose_name_plural)) for meta in tables]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobChange]) -> QuerySet[JobChange]:
        return queryset.filter(model=self.value()) if self.value() else queryset


class WarningFilter(admin.SimpleListFilter):
    """Filter by the warnings of the Job that the page is filtered by."""

    title = "warning"
    parameter_name = "warning"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        job = filtered_job(request)
        return [(param.key, param.title) for param in job.progress.heeded] if job else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobChange]) -> QuerySet[JobChange]:
        if not self.value():
            return queryset
        created = queryset.filter(
            HAS_WARNINGS, kind=JobChange.Kind.CREATED, model="main.classification"
        )
        return created.alias(warnings=WARNINGS).filter(warnings__contains=[self.value()])


class TransitionFilter(admin.SimpleListFilter):
    """Filter by the taxa before and after. Offers the most frequent pairs of the Job."""

    title = "determination"
    parameter_name = "transition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        job = filtered_job(request)
        common = transitions_of(job) if job else []
        found = [(key, _told(one)) for one in common if (key := one.key)]
        chosen = request.GET.get(self.parameter_name, "")
        if chosen in dict(found) or (taxa := _taxa(chosen)) is None:
            return found
        names = Taxon.objects.in_bulk({pk for pk in taxa if pk})
        before, after = (names.get(pk, NO_TAXON if pk == 0 else f"Taxon {pk}") for pk in taxa)
        return [*found, (chosen, _pair(before, after))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobChange]) -> QuerySet[JobChange]:
        if not self.value():
            return queryset
        if (taxa := _taxa(str(self.value()))) is None:
            return queryset.none()
        before, after = (pk or None for pk in taxa)
        return queryset.filter(of_taxa(before, after))


class OccurrenceFilter(admin.SimpleListFilter):
    """Filter by occurrence: all changes of one, with its detections and their classifications.

    Without a chosen one, it offers to list one row for each changed occurrence.
    """

    title = "occurrence"
    parameter_name = "occurrence"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        grouped = [("each", "One row for each")]
        pk = parse_id(request.GET.get(self.parameter_name, ""))
        return grouped if pk is None else [*grouped, (str(pk), f"Occurrence {pk}")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobChange]) -> QuerySet[JobChange]:
        if not (chosen := self.value()):
            return queryset
        if chosen == "each":
            return queryset.filter(model="main.occurrence")
        pk = parse_id(chosen)
        return queryset.none() if pk is None else queryset.filter(_of_occurrence(pk))


def _told(transition: Transition) -> str:
    pair = _pair(transition.name_before or NO_TAXON, transition.name_after or NO_TAXON)
    return f"{pair} ({transition.occurrences:,})"


def _pair(*names: Any) -> str:
    """The names, each with its own direction of writing."""
    return " → ".join(f"\u2068{Truncator(name).chars(NAME)}\u2069" for name in names)


def _taxa(key: str) -> tuple[int, int] | None:
    """The ids of a transition's taxa, 0 for none; None if the key is malformed."""
    if not re.fullmatch(r"\d+-\d+", key, re.ASCII):
        return None
    before, after = map(parse_id, key.split("-"))
    return None if before is None or after is None else (before, after)


def _of_occurrence(pk: int) -> Q:
    """The changes of an occurrence and of the rows that now belong to it."""
    detections = Detection.objects.filter(occurrence=pk).values("pk")
    classifications = Classification.objects.filter(detection__in=detections).values("pk")
    said = Identification.objects.filter(occurrence=pk).values("pk")
    rows = {Detection: detections, Classification: classifications, Identification: said}
    found = Q(model=Occurrence._meta.label_lower, object_id=pk)
    for model, ids in rows.items():
        found |= Q(
            model=model._meta.label_lower, object_id__in=list(ids.values_list("pk", flat=True))
        )
    return found
