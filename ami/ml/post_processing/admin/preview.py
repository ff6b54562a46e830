"""The preview as the confirmation page draws it: figures, a histogram, and crops at the border."""

import logging
from collections.abc import Iterator
from math import ceil, floor, log10
from typing import Any, NamedTuple

import numpy as np
from django.db.models import QuerySet
from pydantic import BaseModel

from ami.base.links import change_url
from ami.base.words import counted
from ami.jobs.engine.faults import is_programming_error
from ami.jobs.states import JobFailedError
from ami.main.models import Detection, Occurrence
from ami.main.pictures import MEDIUM, crop_url
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import EVENT
from ami.ml.post_processing.measures import Measure
from ami.ml.post_processing.preview import Preview, PreviewError, Series, preview
from ami.ml.post_processing.scopes import Chosen, Scope, missing_rows, scope_options
from ami.ml.post_processing.service import require_right
from ami.ml.post_processing.validation import ConfigValidationErrors, parse_config

logger = logging.getLogger(__name__)

BARS = 48
WIDTH, HEIGHT = 480, 100
POINTS = 400  # that the script can show as crops without asking the server
NO_NAME = "no name"


class Bar(NamedTuple):
    """A bar of the histogram in units of its drawing; `low` and `high` bound its values."""

    x: float
    width: float
    height: float
    low: float
    high: float
    number: int
    applies: bool

    @property
    def y(self) -> float:
        return HEIGHT - self.height


class Crop(NamedTuple):
    """A detection next to the threshold."""

    pk: int
    other: int
    value: float
    threshold: float
    applies: bool
    before: str
    after: str

    @property
    def url(self) -> str:
        return crop_url(self.pk, MEDIUM)

    @property
    def other_url(self) -> str:
        return crop_url(self.other, MEDIUM) if self.other else ""

    @property
    def page(self) -> str:
        return change_url(Detection, self.pk)

    @property
    def text(self) -> str:
        return f"{self.value:.4g} of {self.threshold:.4g}"


class Drawing(NamedTuple):
    """A series of the measure: its histogram, and the crops on both sides of its threshold."""

    name: str
    field: str
    threshold: float
    bars: list[Bar]
    line: float
    low: float
    high: float
    number: int
    applying: int
    crops: list[Crop]
    points: list[list[Any]]

    @property
    def text(self) -> str:
        return (
            f"Histogram of {counted(self.number, 'value')} from {self.low:.3g} to {self.high:.3g}; "
            f"{self.applying:,} have an effect at the threshold {self.threshold:.4g}"
        )

    @property
    def with_effect(self) -> list[Crop]:
        return [crop for crop in self.crops if crop.applies]

    @property
    def without_effect(self) -> list[Crop]:
        return [crop for crop in self.crops if not crop.applies]


def preview_page(
    task_cls: type[BasePostProcessingTask],
    config: dict[str, Any],
    *,
    scope: Scope,
    rows: QuerySet[Any],
    user: Any,
) -> dict[str, Any]:
    """The context of the preview of a run on these rows with these options.

    Raises ConfigValidationErrors for bad options, and PermissionDenied if the person may not run
    the method on a row. What else prevents a preview is the `refusal` of the context.
    """
    require_right(user, task_cls, {row.project for row in rows})
    ids = sorted(row.pk for row in rows)
    task = task_cls(**_parsed(task_cls, config, scope, ids, user))
    try:
        found = preview(task, Chosen(scope, ids, foreign=[]))
    except (JobFailedError, PreviewError) as refused:
        return {"refusal": str(refused)}
    except Exception as fault:
        return {"refusal": stopped(task_cls, fault)}
    return _context(task, found)


def stopped(task_cls: type[BasePostProcessingTask], fault: Exception) -> str:
    """Log an error of a method that a page has tried; returns a sentence for the page."""
    logger.error("%s failed on a page", task_cls.key, exc_info=fault)
    then = "A dry run skips the rows that cause it, and its log names them."
    if is_programming_error(fault):
        then = "A run would crash; the log of the server has the traceback."
    return f"The method stopped with {type(fault).__name__}. {then}"


def _parsed(
    task_cls: type[BasePostProcessingTask],
    config: dict[str, Any],
    scope: Scope,
    ids: list[int],
    user: Any,
) -> dict[str, Any]:
    schema: type[BaseModel] = task_cls.config_schema
    one = ids if scope.several in schema.__fields__ else ids[:1]
    options = config | scope_options(schema, scope, one)
    if faults := missing_rows(parse_config(schema, options), user=user):
        raise ConfigValidationErrors(faults)
    return options


def _context(task: BasePostProcessingTask, found: Preview) -> dict[str, Any]:
    measure = task.measure
    drawings = [_drawing(measure, one, found) for one in found.series] if measure else []
    extent = found.extent
    unit = "night" if task.unit == EVENT else "occurrence"
    return {
        "extent": extent,
        "unit": counted(extent.units, unit),
        "all_units": counted(extent.all_units, unit),
        "counters": [
            (name.replace("_", " ").capitalize(), found.interval(name), task.warnings.get(name))
            for name in found.counts
        ],
        "skipped": [(reason, found.for_all(rows)) for reason, rows in found.skipped.items()],
        "transitions": [
            (
                one.before or NO_NAME,
                one.after or NO_NAME,
                found.occurrences_for_all(one.occurrences),
            )
            for one in found.transitions
        ],
        "measure": measure,
        "drawings": drawings,
        "tracks": [(one, change_url(Occurrence, one.occurrence_id)) for one in found.tracks],
        "data": {
            "when": measure.when if measure else "",
            "effect": measure.effect if measure else "",
            "series": [
                {
                    "field": one.field,
                    "points": one.points,
                    "low": one.low,
                    "high": one.high,
                    "log": bool(measure and measure.logarithmic),
                    "half": max(len(one.with_effect), len(one.without_effect)),
                }
                for one in drawings
            ],
            "crop": crop_url(0, MEDIUM),
            "page": change_url(Detection, 0),
        },
    }


def _drawing(measure: Measure, series: Series, found: Preview) -> Drawing:
    values, threshold = series.points.values, series.threshold.value
    edges = _edges(values, threshold, logarithmic=measure.logarithmic)
    numbers, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    highest = max(1, int(numbers.max()))
    wide = WIDTH / len(numbers)
    bars = [
        Bar(
            round(wide * place, 2),
            round(wide - 1, 2),
            round(max(HEIGHT * number / highest, 1.5), 1) if number else 0,
            float(edges[place]),
            float(edges[place + 1]),
            int(number),
            bool(measure.applies((edges[place] + edges[place + 1]) / 2, threshold)),
        )
        for place, number in enumerate(numbers)
    ]
    applies = measure.applies(values, threshold)
    return Drawing(
        name=series.name.capitalize(),
        field=series.threshold.field,
        threshold=threshold,
        bars=bars,
        line=round(WIDTH * _place(threshold, edges, logarithmic=measure.logarithmic), 2),
        low=float(edges[0]),
        high=float(edges[-1]),
        number=len(values),
        applying=int(applies.sum()),
        crops=list(_crops(measure, series, found)),
        points=_points(series),
    )


def _edges(values: Any, threshold: float, *, logarithmic: bool) -> Any:
    """The bounds of the bars: all values and the threshold lie between the first and the last."""
    low, high = min(values[0], threshold), max(values[-1], threshold)
    if logarithmic:
        low, high = max(low, 1e-9), max(high, 1e-9)
        return np.logspace(
            floor(log10(low)), max(ceil(log10(high)), floor(log10(low)) + 1), BARS + 1
        )
    return np.linspace(min(0.0, low), max(high, 1e-9), BARS + 1)


def _place(value: float, edges: Any, *, logarithmic: bool) -> float:
    low, high, at = edges[0], edges[-1], value
    if logarithmic:
        low, high, at = log10(low), log10(high), log10(max(value, 1e-9))
    return float((at - low) / (high - low))


def _crops(measure: Measure, series: Series, found: Preview) -> Iterator[Crop]:
    points, threshold = series.points, series.threshold.value
    for place in series.border:
        pk, value = int(points.detections[place]), float(points.values[place])
        yield Crop(
            pk,
            int(points.others[place]),
            value,
            threshold,
            bool(measure.applies(value, threshold)),
            found.before.get(pk) or NO_NAME,
            found.after.get(pk) or NO_NAME,
        )


def _points(series: Series) -> list[list[Any]]:
    """Values in ascending order with their detections: evenly chosen, and at the border."""
    values, detections, others = series.points
    even = np.linspace(0, len(values) - 1, min(len(values), POINTS)).astype(int)
    places = sorted({*even.tolist(), *series.border})
    return [[float(values[p]), int(detections[p]), int(others[p])] for p in places]
