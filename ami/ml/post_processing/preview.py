"""What a run would do: the method itself on the scope or on a random sample, rolled back."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from django.db import OperationalError, connection, transaction
from django.db.models import Count, F, Max, Min

from ami.base.intervals import Interval, extrapolated
from ami.jobs.engine import basis
from ami.jobs.journal.transitions import transitions_in
from ami.jobs.journal.triggers import journaled
from ami.jobs.models import Job
from ami.main.models import Classification, Detection
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import EVENT, PickedBatch
from ami.ml.post_processing.measures import Gauge, Measure, Points, Threshold
from ami.ml.post_processing.scopes import Chosen

SECONDS = 1.2  # for the batches; reading the scope and the results takes the rest of 2 s
FIRST_ROWS = 200  # of the first batch, which tells how fast the method is
MOST_UNITS = 50_000
CROPS = 24
TRACKS = 10
TRANSITIONS = 20
PREVIEW = 0  # the id of the Job in whose name it is journaled; no row has it
LIMITS = "SET LOCAL lock_timeout = '1s'"

# The units of a scope in an order that is random, but the same each time, so that two thresholds
# are tried on the same sample. A detection without a unit is one, with its negative id.
UNITS = """
WITH unit AS MATERIALIZED (
    SELECT COALESCE(unit_id, -id) AS id, count(*) AS rows FROM ({scope}) scope GROUP BY 1
)
SELECT id, rows, (SELECT count(*) FROM unit), (SELECT sum(rows)::bigint FROM unit)
FROM unit ORDER BY hashint8extended(id, 0), id LIMIT %s
"""


class PreviewError(Exception):
    """There is no preview; the message says why and what to do."""


class Extent(NamedTuple):
    """How many units and rows of the scope were processed, of how many."""

    units: int
    all_units: int
    rows: int
    all_rows: int

    @property
    def is_whole(self) -> bool:
        return self.units == self.all_units


class Transition(NamedTuple):
    """How many occurrences would go from one taxon to another; None for no taxon."""

    before: str | None
    after: str | None
    occurrences: int


class Series(NamedTuple):
    """The values of a measure, with their threshold, and the places of those next to it."""

    name: str
    threshold: Threshold
    points: Points
    border: list[int]


class LongTrack(NamedTuple):
    """An occurrence as it would be: its name, detections, and first and last time."""

    occurrence_id: int
    name: str | None
    detections: int
    first: Any
    last: Any


@dataclass(frozen=True)
class Preview:
    """What a run would do on the part of the scope that was processed.

    `planned` are the counters that planning alone has raised; they hold for the whole scope.
    `before` and `after` name the detections at the borders.
    """

    extent: Extent
    counts: Mapping[str, int]
    planned: Mapping[str, int]
    skipped: Mapping[str, int]
    transitions: list[Transition]
    series: list[Series]
    before: Mapping[int, str | None]
    after: Mapping[int, str | None]
    tracks: list[LongTrack]

    def interval(self, name: str) -> Interval:
        """The counter for the whole scope: exact, or an interval."""
        exact = self.planned.get(name, 0)
        return self.for_all(self.counts[name] - exact).plus(exact)

    def for_all(self, number: int) -> Interval:
        """A number of rows in the sample, for the whole scope."""
        extent = self.extent
        if extent.is_whole:
            return Interval(number, number)
        return extrapolated(number, rows=extent.rows, units=extent.units, total=extent.all_rows)

    def occurrences_for_all(self, number: int) -> Interval:
        """A number of occurrences in the sample, for the whole scope."""
        extent = self.extent
        if extent.is_whole:
            return Interval(number, number)
        units, total = extent.units, extent.all_units
        return extrapolated(number, rows=units, units=units, total=total)


def preview(task: BasePostProcessingTask, chosen: Chosen, *, seconds: float = SECONDS) -> Preview:
    """Run the method on the chosen rows for about `seconds`, and roll everything back.

    If the time does not suffice for all units, it is run on as many as it does, at random. Raises
    JobFailedError as the method does, and PreviewError if there is no preview.
    """
    task._chosen = chosen
    task.gauge = Gauge()
    try:
        basis.fix(task)
        with transaction.atomic():
            with journaled(Job(pk=PREVIEW)), connection.cursor() as cursor:
                cursor.execute(LIMITS)
                planned, extent, done = _run(task, chosen, seconds=seconds)
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            series = _series(task)
            shown = {pk for one in series for pk in _detections(one)}
            changed, after = transitions(PREVIEW), _names(shown)
            tracks = _tracks(task, done) if task.unit == EVENT else []
            transaction.set_rollback(True)
    except OperationalError as busy:
        raise PreviewError(
            "The preview waited too long for rows that another run or person is changing. Try it "
            "again in a moment."
        ) from busy
    return Preview(
        extent=extent,
        counts=task.counts,
        planned=planned,
        skipped={reason: skipped.rows for reason, skipped in task.skipped.items()},
        transitions=changed,
        series=series,
        before=_names(shown),
        after=after,
        tracks=tracks,
    )


def _run(
    task: BasePostProcessingTask, chosen: Chosen, *, seconds: float
) -> tuple[Counter[str], Extent, set[int]]:
    """Plan, prepare and process; return what planning counted, the extent, and the units done."""
    task.count_anew()
    task.plan()
    planned = Counter(task.counts)
    units = _units(task)
    if not units:
        return planned, Extent(0, 0, 0, 0), set()
    task.prepare()
    started = time.monotonic()
    done = rows = 0
    size = min(FIRST_ROWS, task.batch_size)
    while done < len(units):
        some = _take(units, done, size)
        for batch in _batches(task, chosen, some):
            task.process(batch)
        done += len(some)
        rows += sum(unit[1] for unit in some)
        spent = time.monotonic() - started
        if spent >= seconds:
            break
        # At most half of the rows that there is time for, because later batches may be slower.
        size = min(task.batch_size, max(1, int(rows / max(spent, 1e-6) * (seconds - spent) / 2)))
    extent = Extent(done, units[0][2], rows, units[0][3])
    return planned, extent, {unit[0] for unit in units[:done]}


def _units(task: BasePostProcessingTask) -> list[tuple[int, int, int, int]]:
    scope = task.scope.order_by().annotate(unit_id=F(task.unit.column)).values("id", "unit_id")
    sql, params = scope.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(UNITS.format(scope=sql), [*params, MOST_UNITS])
        return list(cursor.fetchall())


def _take(units: list[Any], start: int, size: int) -> list[Any]:
    """The next units with about `size` rows, at least one."""
    end, rows = start, 0
    while end < len(units) and (end == start or rows + units[end][1] <= size):
        rows += units[end][1]
        end += 1
    return units[start:end]


def _batches(
    task: BasePostProcessingTask, chosen: Chosen, units: Iterable[Any]
) -> Iterator[PickedBatch]:
    ids = sorted(unit[0] for unit in units)
    for loose, group in groupby(ids, key=lambda pk: pk < 0):
        own = frozenset(abs(pk) for pk in group)
        yield PickedBatch(chosen, task.unit, loose, min(own), max(own), ids=own)


def _series(task: BasePostProcessingTask) -> list[Series]:
    if task.measure is None or task.gauge is None:
        return []
    found = [
        (name, threshold, points)
        for name, threshold in task.measure.thresholds(task.config).items()
        if len((points := task.gauge.points(name)).values)
    ]
    cuts = [_cut(task.measure, threshold, points) for _, threshold, points in found]
    below = shares(cuts, CROPS // 2)
    above = shares(
        [len(one[2].values) - cut for one, cut in zip(found, cuts, strict=True)], CROPS // 2
    )
    return [
        Series(*one, border=list(range(cut - low, cut + high)))
        for one, cut, low, high in zip(found, cuts, below, above, strict=True)
    ]


def _cut(measure: Measure, threshold: Threshold, points: Points) -> int:
    """How many of the values are below the threshold."""
    # Values at the threshold belong to the lower side if "<=" holds for them, or ">" does not.
    side: Any = "right" if measure.when in {"<=", ">"} else "left"
    return int(np.searchsorted(points.values, threshold.value, side=side))


def shares(numbers: Sequence[int], total: int) -> list[int]:
    """Divide `total` places among series as evenly as their numbers of values allow."""
    given = [0] * len(numbers)
    for _ in range(min(total, sum(numbers))):
        free = [at for at, number in enumerate(numbers) if given[at] < number]
        given[min(free, key=given.__getitem__)] += 1
    return given


def _detections(series: Series) -> Iterator[int]:
    for place in series.border:
        yield int(series.points.detections[place])
        if other := int(series.points.others[place]):
            yield other


def transitions(job_id: int) -> list[Transition]:
    """The most frequent changes of a determination by a Job."""
    return [
        Transition(one.name_before, one.name_after, one.occurrences)
        for one in transitions_in(job_id, most=TRANSITIONS)
    ]


def _names(detections: Collection[int]) -> dict[int, str | None]:
    """The taxon of the best current classification of each detection."""
    best = (
        Classification.objects.filter(detection__any_of=set(detections), terminal=True)
        .order_by("detection_id", F("score").desc(nulls_last=True), "-timestamp", "-pk")
        .distinct("detection_id")
    )
    return dict(best.values_list("detection_id", "taxon__name"))


def _tracks(task: BasePostProcessingTask, units: set[int]) -> list[LongTrack]:
    """The occurrences of these units that would have the most detections."""
    scope = Detection.objects.filter(
        pk__in=task.scope.values("pk"),
        occurrence__isnull=False,
        **{f"{task.unit.column}__any_of": units},
    )
    time_of = "source_image__timestamp"
    rows = (
        scope.order_by()
        .values_list("occurrence_id", "occurrence__determination__name")
        .annotate(number=Count("pk"), first=Min(time_of), last=Max(time_of))
        .order_by("-number", "occurrence_id")[:TRACKS]
    )
    return [LongTrack(*row) for row in rows]
