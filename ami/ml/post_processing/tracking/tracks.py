"""Tracks: chains of linked detections, and the occurrence of each.

This module does not use the database.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from math import isclose
from operator import attrgetter
from typing import NamedTuple

from ami.ml.post_processing.tracking.links import Link

SAME_COST = 1e-8  # two runs may differ in the last bits of a cosine


class Row(NamedTuple):
    """A detection as tracking reads it.

    `place` is the number of its capture in the event, `time` is in seconds. `strayed` means that
    its occurrence belongs to another event, `locked` that a person has identified it. `fault` says
    why it cannot be tracked; the numbers may then be missing.
    """

    id: int
    event_id: int
    capture_id: int
    occurrence_id: int | None
    next_id: int | None
    link_cost: float | None
    strayed: bool
    locked: bool
    fault: str | None
    place: int
    time: float
    width: int
    height: int
    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def takes_part(self) -> bool:
        return not self.locked and self.fault is None


class Placement(NamedTuple):
    """What tracking decides for a detection."""

    id: int
    occurrence_id: int | None
    next_id: int | None
    link_cost: float | None

    def holds(self, row: Row) -> bool:
        """Whether the row already has these values."""
        if (row.occurrence_id, row.next_id) != (self.occurrence_id, self.next_id):
            return False
        if row.link_cost is None or self.link_cost is None:
            return row.link_cost is self.link_cost
        return isclose(row.link_cost, self.link_cost, rel_tol=0, abs_tol=SAME_COST)


@dataclass
class Track:
    """Detections of one individual, by time, with the cost of the link from each to the next.

    `keeper` is the occurrence that they are joined in, None if it is not chosen yet.
    """

    rows: list[Row]
    costs: list[float] = field(default_factory=list)
    keeper: int | None = None

    @property
    def lacks_occurrence(self) -> bool:
        """Whether it needs an occurrence; a single detection that never had one does not."""
        had_one = any(row.occurrence_id is not None for row in self.rows)
        return self.keeper is None and (had_one or len(self.rows) > 1)

    def placements(self) -> Iterator[tuple[Row, Placement]]:
        for row, latter, cost in zip_longest(self.rows, self.rows[1:], self.costs):
            yield row, Placement(row.id, self.keeper, latter and latter.id, cost)


class Night(NamedTuple):
    """The detections of one night: those to track, and those that keep their occurrence."""

    rows: list[Row]
    apart: list[Row]

    def tracks(self, links: Iterable[Link]) -> list[Track]:
        """The tracks that these links make, each with its occurrence if it keeps one."""
        found = follow(self.rows, links)
        choose_keepers(found, apart=self.apart)
        return found


def nights_of(rows: Iterable[Row]) -> list[Night]:
    """The nights of rows that are in the order of nights."""
    found = []
    for _, night in groupby(rows, key=attrgetter("event_id")):
        own = list(night)
        apart = [row for row in own if not row.takes_part]
        found.append(Night([row for row in own if row.takes_part], apart))
    return found


def follow(rows: Sequence[Row], links: Iterable[Link]) -> list[Track]:
    """The tracks of a night by its links; a row without links is a track of its own."""
    links_to = {link.latter: link for link in links}
    tracks: list[Track] = []
    track_of: list[Track] = []
    for number, row in enumerate(rows):
        if link := links_to.get(number):
            track = track_of[link.former]
            track.rows.append(row)
            track.costs.append(link.cost)
        else:
            track = Track([row])
            tracks.append(track)
        track_of.append(track)
    return tracks


def choose_keepers(tracks: Iterable[Track], *, apart: Iterable[Row]) -> None:
    """Give each track of a night the earliest of its occurrences.

    In the order of time, an occurrence goes to the first track that contains it and has no
    occurrence yet, so no two tracks share one. Occurrences of other events are not used. Detections
    in `apart` keep their occurrence, which goes to no track with a box on the same capture.
    """
    barred = {(row.occurrence_id, row.capture_id) for row in apart}
    claimed: set[int] = set()
    shown = [(row, track) for track in tracks for row in track.rows]
    for row, track in sorted(shown, key=lambda pair: _by_time(pair[0])):
        occurrence_id = row.occurrence_id
        if occurrence_id is None or occurrence_id in claimed or track.keeper is not None:
            continue
        if row.strayed:
            continue
        if any((occurrence_id, other.capture_id) in barred for other in track.rows):
            continue
        track.keeper = occurrence_id
        claimed.add(occurrence_id)


def moves(tracks: Iterable[Track]) -> list[tuple[int, int]]:
    """The detections whose occurrence these tracks change, by time, each with its new occurrence.

    Occurrences to create have negative ids.
    """
    found: list[tuple[Row, int]] = []
    for number, track in enumerate(tracks, start=1):
        home = -number if track.lacks_occurrence else track.keeper
        found += [(row, home) for row in track.rows if home and row.occurrence_id != home]
    found.sort(key=lambda pair: _by_time(pair[0]))
    return [(row.id, home) for row, home in found]


def heirs(changes: Iterable[tuple[Row, Placement]]) -> dict[int, int | None]:
    """For each occurrence that detections leave, the new occurrence of the earliest of them."""
    found: dict[int, int | None] = {}
    for row, wanted in sorted(changes, key=lambda pair: _by_time(pair[0])):
        if row.occurrence_id is not None and row.occurrence_id != wanted.occurrence_id:
            found.setdefault(row.occurrence_id, wanted.occurrence_id)
    return found


def _by_time(row: Row) -> tuple[int, int, int]:
    return row.event_id, row.place, row.id
