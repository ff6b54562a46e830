"""The charts of a sweep, as coordinates of SVG drawings."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ami.review.admin.variables import Variable
from ami.review.statistics.shares import Estimate
from ami.review.sweep.result import Point, Sweep

WIDTH, HEIGHT = 640, 160
LEAST_TOP = 0.2  # so that a chart without changes is not filled by its intervals


class Line(NamedTuple):
    """A line of a chart: its points and its interval as coordinates of an SVG drawing."""

    name: str
    number: int
    points: str
    band: str


class Chart(NamedTuple):
    """A chart over the values: lines, marks, and the highest share."""

    title: str
    lines: list[Line]
    marks: list[tuple[float, str, str]]
    dots: list[tuple[float, float, Any, str]]
    top: str


def charts_of(result: Sweep, variable: Variable, present: Any) -> list[Chart]:
    """The shares that change, and the coverage and accuracy of the names, over the values."""
    places = _places(result, variable)
    marks = []
    if (at := _place(present, result, places)) is not None:
        marks.append((at, "present", "present value"))
    if result.best and (at := _place(result.best.value, result, places)) is not None:
        marks.append((at, "best", "best value"))
    return [
        _chart("Changed names, share of all", ("corrected", "regressed"), result, places, marks),
        _chart("Names", ("coverage", "accuracy"), result, places, marks),
    ]


def _places(result: Sweep, variable: Variable) -> list[float]:
    values = [point.value for point in result.points]
    if variable.choices is not None or variable.is_logarithmic:
        values = list(range(len(values)))
    low, high = values[0], values[-1]
    return [round(WIDTH * (value - low) / ((high - low) or 1), 1) for value in values]


def _place(value: Any, result: Sweep, places: list[float]) -> float | None:
    """Where a value is, between its neighbours; None outside the range."""
    for place, point in zip(places, result.points, strict=True):
        if point.value == value:
            return place
    if not isinstance(value, int | float):
        return None
    for (left, lower), (right, upper) in pairwise(zip(places, result.points, strict=True)):
        if lower.value < value < upper.value:
            share: float = (value - lower.value) / (upper.value - lower.value)
            return round(left + share * (right - left), 1)
    return None


def _chart(
    title: str,
    names: Sequence[str],
    result: Sweep,
    places: list[float],
    marks: list[tuple[float, str, str]],
) -> Chart:
    columns = {name: [_estimate(result, point, name) for point in result.points] for name in names}
    highs = (one.high for column in columns.values() for one in column if one)
    top = max([LEAST_TOP, *highs])
    lines, dots = [], []
    for number, (name, column) in enumerate(columns.items()):
        known = [(x, one) for x, one in zip(places, column, strict=True) if one]
        upper = [f"{x},{_y(one.high, top)}" for x, one in known]
        lower = [f"{x},{_y(one.low, top)}" for x, one in reversed(known)]
        drawn = " ".join(f"{x},{_y(one.share, top)}" for x, one in known)
        lines.append(Line(name.capitalize(), number, drawn, " ".join(upper + lower)))
        dots += [
            (x, _y(one.share, top), point.value, f"{name} {one.share:.1%} at {point.label}")
            for x, point, one in zip(places, result.points, column, strict=True)
            if one
        ]
    return Chart(title, lines, marks, dots, f"{top:.0%}".replace("%", " %"))


def _estimate(result: Sweep, point: Point, name: str) -> Estimate | None:
    against = point.independent if result.is_independent else point.all_answers
    found: Estimate | None = getattr(against, name)
    return found


def _y(share: float, top: float) -> float:
    return round(HEIGHT * (1 - share / (top or 1)), 1)
