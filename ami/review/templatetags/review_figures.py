"""How pages print shares and their intervals."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ami.base.links import EMPTY
from ami.review.effect import words
from ami.review.statistics.shares import TOO_FEW

register = template.Library()


@register.filter
def figure(mapping: dict[str, Any], key: str) -> Any:
    """Return the entry of a mapping."""
    return mapping[key]


@register.filter
def percent(share: float | None) -> str:
    """Return a share in percent; a dash for None."""
    return EMPTY if share is None else f"{share:.1%}".replace("%", " %")


@register.filter
def estimate(found: dict[str, Any] | None) -> SafeString:
    """Return an estimated share with its interval and the number behind it."""
    if found is None:
        return EMPTY
    if found["n"] < TOO_FEW:
        return format_html('<span class="too-few">too few ({})</span>', found["n"])
    return format_html(
        '{} <span class="interval">{} to {}, n = {}</span>',
        percent(found["share"]),
        percent(found["low"]),
        percent(found["high"]),
        f"{found['n']:,}",
    )


@register.filter
def difference(found: dict[str, float] | None) -> SafeString:
    """Return a difference of shares in percentage points, with its interval."""
    if found is None:
        return EMPTY
    points = (f"{100 * found[key]:+.1f}" for key in ("difference", "low", "high"))
    return format_html('{} points <span class="interval">{} to {}</span>', *points)


@register.filter
def share(found: Any) -> SafeString | str:
    """Return an estimated share with its interval, in one line."""
    if found is None:
        return EMPTY
    return f"{percent(found.share)} ({percent(found.low)} to {percent(found.high)})"


@register.filter
def share_over_interval(found: Any) -> SafeString:
    """Return an estimated share with its interval, in two lines."""
    if found is None:
        return EMPTY
    return format_html(
        '{} <span class="interval">{} to {}</span>',
        *map(percent, (found.share, found.low, found.high)),
    )


@register.filter
def p_value(p: float) -> str:
    """Return a p-value without its name."""
    return words.p_value(p).removeprefix("p = ").removeprefix("p ")


@register.filter
def plain(value: Any) -> str:
    """Return a value as an input holds it."""
    return str(value)


@register.filter
def last_label(rows: Any) -> str:
    """Return the label of the last point."""
    return str(rows[-1][0].label)
