"""Split known tracks and link them again by boxes alone, for a range of thresholds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from ami.exchange.reading.formats.antenna_examples import read
from ami.exchange.reading.records import DetectionRecord, OccurrenceRecord
from ami.ml.post_processing.tracking import TrackingConfig
from ami.ml.post_processing.tracking.links import (
    Floats,
    Limits,
    Sightings,
    link_detections,
    pair_costs,
)

PAGE = Path(__file__).resolve().parents[1] / "docs/reference/methods/tracking.md"
BEGIN, END = "<!-- begin -->\n", "<!-- end -->\n"
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0, 1.2, 1.5, 2.0)

Pairs: TypeAlias = set[tuple[int, int]]
Matcher: TypeAlias = Callable[[Sightings, float], Pairs]


@dataclass(frozen=True)
class Night:
    """The detections of one event, with the known track and the label of each row."""

    sightings: Sightings
    tracks: list[str]
    labels: list[str]

    @property
    def links(self) -> Pairs:
        """The links from each detection to the next one of its track."""
        rows = sorted(range(len(self.tracks)), key=lambda row: (self.tracks[row], row))
        return {(a, b) for a, b in pairwise(rows) if self.tracks[a] == self.tracks[b]}


class Score(NamedTuple):
    """The share of found links that are right, the share of right links that are found, and F1."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0


def read_nights(path: Path) -> list[Night]:
    """The nights of an occurrence export. Raises ImportRefusedError."""
    shown = [
        ((found.capture.deployment, found.capture.night), found.timestamp, record, found)
        for record in read(path)
        if isinstance(record, OccurrenceRecord)
        for found in record.detections
    ]
    shown.sort(key=lambda row: row[:2])
    nights = groupby(shown, key=lambda row: row[0])
    return [_night([(record, example) for *_, record, example in rows]) for _, rows in nights]


def optimal(sightings: Sightings, threshold: float) -> Pairs:
    links = link_detections(sightings, Limits(cost=threshold, geometry_cost=threshold))
    return {(link.former, link.latter) for link in links}


def greedy(sightings: Sightings, threshold: float) -> Pairs:
    """Link adjacent captures, the cheapest pair first."""
    limits = Limits(cost=threshold, geometry_cost=threshold)
    found: Pairs = set()
    for former, latter in pairwise(sightings.captures()):
        if sightings.places[latter[0]] - sightings.places[former[0]] == 1:
            shares = pair_costs(sightings, former, latter).shares(limits)
            found |= {(int(former[i]), int(latter[j])) for i, j in _cheapest_first(shares)}
    return found


def score(nights: Sequence[Night], match: Matcher, threshold: float) -> Score:
    found = right = known = 0
    for night in nights:
        links = match(night.sightings, threshold)
        found, known = found + len(links), known + len(night.links)
        right += len(links & night.links)
    return Score(right / found if found else 0, right / known)


def most_labelled(nights: Sequence[Night], threshold: float) -> tuple[str, int, int, int]:
    """The known track with the most labels: its id, and the number of its detections, of its labels
    and of the tracks that the optimal links make of it."""
    labels: dict[tuple[int, str], set[str]] = {}
    for number, night in enumerate(nights):
        for track, label in zip(night.tracks, night.labels, strict=True):
            labels.setdefault((number, track), set()).add(label)
    number, name = max(labels, key=lambda key: len(labels[key]))
    night = nights[number]
    rows = {row for row, track in enumerate(night.tracks) if track == name}
    inside = [pair for pair in optimal(night.sightings, threshold) if rows.issuperset(pair)]
    return name, len(rows), len(labels[number, name]), len(rows) - len(inside)


def report(nights: Sequence[Night]) -> str:
    """The scores as a table, the default in bold, and the result for the most labelled track."""
    default = TrackingConfig.__fields__["geometry_cost_threshold"].default
    columns = ("precision", "recall", "F1")
    head = ["threshold", *(f"{name}, {c}" for name in ("optimal", "greedy") for c in columns)]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * 6}"]
    for threshold in THRESHOLDS:
        scores = [score(nights, match, threshold) for match in (optimal, greedy)]
        cells = [f"{part:.3f}" for one in scores for part in (*one, one.f1)]
        name = f"**{threshold}**" if threshold == default else f"{threshold}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    name, rows, labels, tracks = most_labelled(nights, default)
    lines.append(
        f"\nThe still moth {name}, {rows} detections with {labels} labels, is linked into "
        f"{tracks} track{'s' if tracks > 1 else ''} at the default {default}."
    )
    return "\n".join(lines) + "\n"


def write_page(text: str, *, page: Path | None = None) -> None:
    """Put the report between the markers of the page of tracking, or of another one."""
    page = page or PAGE
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + BEGIN + text + END + rest.split(END)[1])


def _cheapest_first(shares: Floats) -> Iterator[tuple[int, int]]:
    taken_rows, taken_columns = set(), set()
    for place in np.argsort(shares, axis=None, kind="stable"):
        row, column = divmod(int(place), shares.shape[1])
        if shares[row, column] <= 1 and not (row in taken_rows or column in taken_columns):
            taken_rows.add(row)
            taken_columns.add(column)
            yield row, column


def _night(rows: Sequence[tuple[OccurrenceRecord, DetectionRecord]]) -> Night:
    captures = [found.capture for _, found in rows]
    moments = [capture.timestamp for capture in captures if capture.timestamp]
    times = sorted(set(moments))
    sightings = Sightings(
        boxes=np.array([found.bbox for _, found in rows]),
        frames=np.array([(one.width, one.height) for one in captures], dtype=float),
        places=np.array([times.index(moment) for moment in moments]),
        times=np.array([moment.timestamp() for moment in moments]),
        directions=np.zeros((len(rows), 0)),
        lengths=np.zeros(len(rows), dtype=np.intp),
    )
    labels = [found.classifications[0].label for _, found in rows]
    return Night(sightings, [record.key for record, _ in rows], labels)
