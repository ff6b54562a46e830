"""A link to draw a sample, on the pages of lower layers."""

from typing import Any

from django import template
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ami.jobs.models import Job
from ami.review.models import DRAW, Sample
from ami.review.populations import MODELS

register = template.Library()
LINK = '<li><a href="{}">Draw a sample</a></li>'
NOTHING = SafeString("")


def draw_url(source: Sample.Source, source_id: int | None = None, *, query: str = "") -> str:
    """The page that draws from a row, or from the list of occurrences with this filter."""
    given = {"source": source.value, "source_id": source_id, "query": query}
    told = urlencode({name: value for name, value in given.items() if value})
    return f"{reverse('admin:review_sample_add')}?{told}"


@register.simple_tag(takes_context=True)
def draw_link(context: dict[str, Any], row: Model) -> SafeString:
    """Link from the page of a row to that which draws from it, if the person may draw there."""
    source = next(source for source, model in MODELS.items() if isinstance(row, model))
    if isinstance(row, Job) and not row.is_final:
        return NOTHING
    if not context["user"].has_perm(DRAW, row):
        return NOTHING
    return _link(LINK, source, row.pk)


@register.simple_tag(takes_context=True)
def draw_from_list(context: dict[str, Any]) -> SafeString:
    """Link from the list of occurrences to the page that draws from those that it shows."""
    request = context["request"]
    if not request.user.has_perm(DRAW):
        return NOTHING
    label = LINK.replace("a sample", "a sample of these")
    return _link(label, Sample.Source.OCCURRENCES, query=request.GET.urlencode())


def _link(label: str, source: Sample.Source, *args: Any, query: str = "") -> SafeString:
    """Nothing on a site without samples."""
    try:
        return format_html(label, draw_url(source, *args, query=query))
    except NoReverseMatch:
        return NOTHING
