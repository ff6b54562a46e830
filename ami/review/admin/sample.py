"""The list of samples, and the page of one with its result."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import URLPattern
from django.utils import timezone
from django.utils.html import format_html

from ami.base.admin import LargeTableAdmin, own_paths, page_context
from ami.base.downloads import csv_response
from ami.base.links import EMPTY, change_link, list_url
from ami.base.next_steps import NextStep
from ami.base.subqueries import count_subquery
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin
from ami.main.models import Occurrence
from ami.review.admin.draw import DrawMixin
from ami.review.drawing import MOST
from ami.review.export import COLUMNS, answer_rows
from ami.review.models import REVIEW, Judgement, Sample, SampleItem
from ami.review.populations import MODELS
from ami.review.results import Result, result_of
from ami.review.statistics.shares import Estimate
from ami.review.strata import label_of
from ami.review.words import headline, interval, notes, percent

GROUPS = 50

ANSWERED = SampleItem.objects.filter(
    pk__in=Judgement.objects.filter(withdrawn=False)
    .exclude(verdict=Judgement.Verdict.SKIPPED)
    .values("item")
)


@admin.register(Sample)
class SampleAdmin(AutocompleteFilterMixin, DrawMixin, LargeTableAdmin[Sample]):
    """Samples are drawn here, judged elsewhere, and never edited."""

    annotations = {
        "drawn": count_subquery(SampleItem.objects.all(), "sample"),
        "answered": count_subquery(ANSWERED, "sample"),
    }
    next_step = NextStep(
        "{} from a Job, a capture set, a night, a project or a list of occurrences.",
        "Draw a sample",
        "review.Sample",
        adds=True,
    )
    list_display = ("name", "id", "origin", "progress", "project", "user", "date")
    list_filter = (("project", AutocompleteFilter), "source")
    list_select_related = ("project", "user")
    search_fields = ("name",)
    search_help_text = "Search by id or name."
    sortable_by = ("id", "name")

    class Media:
        css = {"all": ["review/sample.css"]}

    def has_change_permission(self, request: HttpRequest, obj: Sample | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        views = {"<path:object_id>/answers.csv": self.answers_view}
        return [*own_paths(self, views), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the result of a sample, as far as it was answered."""
        sample = self._sample(request, object_id)
        if request.method == "POST":
            raise PermissionDenied
        context = {
            **page_context(self, request, title=sample.name),
            "original": sample,
            "sample": sample,
            "origin": self.origin(sample),
            **_shown(result_of(sample)),
            "may_review": request.user.has_perm(REVIEW, sample),
            "has_delete_permission": self.has_delete_permission(request, sample),
        }
        return render(request, "admin/review/sample/page.html", context)

    def get_deleted_objects(
        self, objs: QuerySet[Sample] | Sequence[Sample], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Count what goes with the samples: their items are too many to be listed."""
        samples = list(objs)
        items = SampleItem.objects.filter(sample__in=samples)
        judgements = Judgement.objects.filter(item__in=items)
        counts = {"samples": len(samples), "items": items.count()}
        if counts["items"] > MOST:
            refusal = (
                f"The samples have {counts['items']:,} items; delete at most {MOST:,} at once."
            )
            return [], {}, set(), [refusal]
        may = all(self.has_delete_permission(request, sample) for sample in samples)
        missing = set() if may else {str(self.opts.verbose_name)}
        return list(map(str, samples)), counts | {"judgements": judgements.count()}, missing, []

    def answers_view(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        """All answers to a sample as CSV, streamed."""
        sample = self._sample(request, object_id)
        return csv_response(COLUMNS, answer_rows(sample), name=f"sample-{sample.pk}-answers.csv")

    @admin.display(description="drawn from")
    def origin(self, sample: Sample) -> str:
        """A link to what it was drawn from; the link works as long as that exists."""
        source = Sample.Source(sample.source)
        if source == Sample.Source.OCCURRENCES:
            url = f"{list_url(Occurrence)}?{sample.query}"
            return format_html('<a href="{}">{}</a>', url, source.label)
        return change_link(MODELS[source], sample.source_id)

    @admin.display(description="answered")
    def progress(self, sample: Any) -> str:
        return f"{sample.answered:,} of {sample.drawn:,}" if sample.drawn else EMPTY

    @admin.display(description="date", ordering="created_at")
    def date(self, sample: Sample) -> str:
        return f"{timezone.localtime(sample.created_at):%Y-%m-%d}"

    def _sample(self, request: HttpRequest, object_id: str) -> Sample:
        """Raises Http404 and PermissionDenied."""
        samples = self.get_queryset(request).select_related("project", "user")
        return self.row_of_page(request, object_id, samples)


def _shown(result: Result) -> dict[str, Any]:
    """What the page shows of a result."""
    tables = [("By taxon", "Determination", result.by_taxon)]
    if result.sample.strata != Sample.Strata.SCORE:
        tables.append(("By score", "Score", result.by_score))
    if len(result.by_run) > 1:
        tables.append(("By run", "Run that gave the name", result.by_run))
    return {
        "result": result,
        "headline": headline(result),
        "notes": list(notes(result)),
        "tables": [
            {
                "title": title,
                "column": column,
                "rows": [_line(one.name, one.estimate, one.right) for one in groups[:GROUPS]],
                "more": max(0, len(groups) - GROUPS),
            }
            for title, column, groups in tables
            if groups
        ],
        "strata_label": label_of(result.sample.strata, result.sample.source),
        "strata": [
            _line(one.name, one.estimate, one.right) | {"population": one.population}
            for one in result.strata
        ],
        "renamed": result.renamed[:GROUPS],
        "more_renamed": max(0, len(result.renamed) - GROUPS),
    }


def _line(name: str, share: Estimate | None, right: int) -> dict[str, Any]:
    return {
        "name": name,
        "right": right,
        "judged": share.n if share else 0,
        "share": percent(share.share) if share else EMPTY,
        "interval": interval(share) if share else EMPTY,
        "too_few": share is None or share.too_few,
    }
