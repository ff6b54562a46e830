"""What the page of a run shows for each check, in a constant number of queries."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from ami.base.links import change_link, list_url
from ami.integrity.admin.acknowledgement import title_of
from ami.integrity.models import (
    IntegrityAcknowledgement,
    IntegrityResult,
    IntegrityRun,
    IntegrityStatus,
)
from ami.main.checks.declarations import CHECKS

TREND_RUNS = 20
REASONS = 10
PROJECT_SHOWN = 40
REASON_SHOWN = 300
WIDTH, HEIGHT = 100, 20


class ResultRow(NamedTuple):
    """One check of a run. `note` describes acknowledgements; `repair`: it can be repaired."""

    title: str
    result: IntegrityResult
    status: IntegrityStatus
    trend: SafeString | str
    links: list[str]
    reasons: list[tuple[str, list[str]]]
    more_reasons: int
    note: str
    repair: bool
    acknowledge_url: str | None


def result_rows(run: IntegrityRun) -> list[ResultRow]:
    results = list(run.results.order_by("pk"))
    counts = _counts(run)
    known = _acknowledgements(run)
    return [_row(run, result, counts[result.key], known[result.key]) for result in results]


def sparkline(counts: Sequence[int]) -> SafeString | str:
    """Draw the counts as a line, oldest first, with a text alternative."""
    if len(counts) < 2:
        return ""
    top, step = max(counts) or 1, WIDTH / (len(counts) - 1)
    points = " ".join(
        f"{step * place:.1f},{HEIGHT - HEIGHT * count / top:.1f}"
        for place, count in enumerate(counts)
    )
    told = f"Last {len(counts)} runs: {', '.join(f'{count:,}' for count in counts)}"
    return format_html(
        '<svg class="trend" viewBox="-2 -2 {} {}" role="img" aria-label="{}"><title>{}</title>'
        '<polyline points="{}"/></svg>',
        WIDTH + 4,
        HEIGHT + 4,
        told,
        told,
        points,
    )


def _counts(run: IntegrityRun) -> dict[str, list[int]]:
    """Return what each check found in the last runs of the same scope, oldest first."""
    alike = IntegrityRun.objects.filter(
        project=run.project_id, job=run.job_id, pk__lte=run.pk
    ).order_by("-pk")[:TREND_RUNS]
    rows = IntegrityResult.objects.filter(run__in=list(alike.values_list("pk", flat=True)))
    counts = defaultdict(list)
    for key, found in rows.filter(error="").order_by("run").values_list("key", "found"):
        counts[key].append(found)
    return counts


def _acknowledgements(run: IntegrityRun) -> dict[str, list[IntegrityAcknowledgement]]:
    """Return the acknowledgements for the run's scope, by check, the last to expire last."""
    of_scope = Q(project=None) | Q(project=run.project_id) if run.project_id else Q()
    known = defaultdict(list)
    rows = IntegrityAcknowledgement.objects.filter(of_scope).order_by("expires_on", "pk")
    for row in rows.select_related("project"):
        known[row.key].append(row)
    return known


def _row(
    run: IntegrityRun,
    result: IntegrityResult,
    counts: Sequence[int],
    known: Sequence[IntegrityAcknowledgement],
) -> ResultRow:
    check = CHECKS.get(result.key)
    return ResultRow(
        title=title_of(result.key),
        result=result,
        status=result.status,
        trend=sparkline(counts),
        links=[_rows_link(*sample, result=result) for sample in result.samples.items()],
        reasons=_reasons(result.reasons[:REASONS]),
        more_reasons=max(0, result.unfixable - REASONS) if result.reasons else 0,
        note=_note(known) if result.remaining else "",
        repair=bool(check and check.repair and result.remaining),
        acknowledge_url=_acknowledge_url(run, result),
    )


def _rows_link(label: str, ids: list[int], *, result: IntegrityResult) -> str:
    """Return a link to the list of the rows whose ids the run has stored."""
    model = apps.get_model(label)
    nouns = model._meta.verbose_name if len(ids) == 1 else model._meta.verbose_name_plural
    first = "first " if result.remaining > len(ids) and len(result.samples) == 1 else ""
    text = f"{first}{len(ids)} {nouns}"
    try:
        return format_html(
            '<a href="{}">{}</a>', list_url(model, id__in=",".join(map(str, ids))), text
        )
    except NoReverseMatch:
        return text


def _reasons(reasons: Iterable[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return each reason once, with links to its rows."""
    links = defaultdict(list)
    for row in reasons:
        links[row["reason"]].append(change_link(apps.get_model(row["model"]), row["id"]))
    return list(links.items())


def _note(known: Iterable[IntegrityAcknowledgement]) -> str:
    """Describe the acknowledgement that expires last, or that expired last."""
    last = [*known][-1:]
    if not last:
        return ""
    (one,) = last
    where = f" for {Truncator(one.project).chars(PROJECT_SHOWN)}" if one.project else ""
    why = Truncator(one.reason).chars(REASON_SHOWN)
    if one.expires_on < timezone.localdate():
        return f"The acknowledgement{where} expired on {one.expires_on}: {why}"
    return f"Known{where} until {one.expires_on}: {why}"


def _acknowledge_url(run: IntegrityRun, result: IntegrityResult) -> str | None:
    if result.status != IntegrityStatus.FOUND:
        return None
    initial: dict[str, Any] = {"key": result.key}
    if run.project_id:
        initial["project"] = run.project_id
    return f"{reverse('admin:integrity_integrityacknowledgement_add')}?{urlencode(initial)}"
