"""Which detections of one event show the same individual: costs and optimal assignment.

No database here: columns of numbers in, links out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.intp]

# The last bits of a sum depend on the order of its terms, and equal costs must be equal.
DECIMALS = 9
ALONE = 1 + 1e-9  # just above a link that costs its whole threshold


class Limits(NamedTuple):
    """What a link may cost, and how far it may reach."""

    cost: float
    geometry_cost: float
    gap_captures: int = 1
    gap_seconds: float | None = None


class Link(NamedTuple):
    """Two detections, by their rows, of which `latter` follows `former`."""

    former: int
    latter: int
    cost: float


@dataclass(frozen=True)
class Sightings:
    """The detections of one event, a row each, in the order of their captures.

    `boxes` (n x 4: x1, y1, x2, y2) and `frames` (n x 2: width, height) are in pixels, `times` (n)
    in seconds. `places` (n) are the captures' numbers in the event, counting empty ones.
    `directions` (n x longest) holds feature vectors of length 1, filled up with zeros; `lengths`
    (n) says how many numbers of each are its own, 0 where there is no vector.
    """

    boxes: Floats
    frames: Floats
    places: Integers
    times: Floats
    directions: Floats
    lengths: Integers

    def captures(self) -> Iterator[Integers]:
        """The rows of each capture that has any."""
        rows = np.arange(len(self.places))
        return iter(np.split(rows, np.flatnonzero(np.diff(self.places)) + 1) if len(rows) else [])

    @cached_property
    def centres(self) -> Floats:
        return self.boxes[:, :2] / 2 + self.boxes[:, 2:] / 2

    @cached_property
    def areas(self) -> Floats:
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return sides[:, 0] * sides[:, 1]


def link_detections(sightings: Sightings, limits: Limits) -> list[Link]:
    """Link each capture's detections to the ends of the tracks before it, at the least cost.

    One to one, and only within `limits`: an end that is left over may be taken up by a later
    capture as long as the gap allows it.
    """
    links: list[Link] = []
    ends: Integers = np.empty(0, dtype=np.intp)
    with np.errstate(all="ignore"):  # a number out of range makes no link
        for rows in sightings.captures():
            ends = _within_reach(sightings, ends, rows[0], limits)
            shares, costs = pair_costs(sightings, ends, rows, limits)
            matched, taken = assign(shares)
            columns = (ends[matched], rows[taken], costs[matched, taken])
            links += map(Link, *(column.tolist() for column in columns))
            ends = np.concatenate([np.delete(ends, matched), rows])
    return links


def assign(shares: Floats) -> tuple[Integers, Integers]:
    """The optimal assignment of costs, given as shares of their thresholds: rows and columns.

    To stay alone costs as much as a link at its threshold, so that two dear links never push out
    one that is all but free. NaN is no link.
    """
    # Here, as every process would take a quarter of a second longer to start.
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    possible = shares <= 1
    rows, columns = linear_sum_assignment(np.where(possible, shares, ALONE))
    kept = possible[rows, columns]
    return rows[kept], columns[kept]


def pair_costs(
    sightings: Sightings, former: Integers, latter: Integers, limits: Limits
) -> tuple[Floats, Floats]:
    """What each pair would cost, as its share of its threshold and as it is (both n x m).

    Cost = (1 - cosine) + (1 - IoU) + (1 - smaller ÷ larger area) + centre distance ÷ diagonal of
    the former's frame; without the first term, and with a threshold of its own, where one of the
    two has no vector or theirs differ in length.
    """
    costs = _geometry_costs(sightings, former, latter)
    lengths = sightings.lengths
    comparable = (lengths[former, None] == lengths[latter]) & (lengths[former, None] > 0)
    thresholds = np.where(comparable, limits.cost, limits.geometry_cost)
    if comparable.any():
        cosines = sightings.directions[former] @ sightings.directions[latter].T
        costs += np.where(comparable, 1 - np.clip(cosines, -1, 1), 0)
    costs = np.round(costs, DECIMALS)
    return costs / thresholds, costs


def direction_of(vector: Floats) -> Floats | None:
    """The vector at length 1; None for one without a direction.

    Such is one of zeros, and one that is empty or has NaN or an infinite number.
    """
    largest = np.abs(vector).max(initial=0)
    if not 0 < largest < np.inf:
        return None
    scaled: Floats = vector / largest  # so that no square overflows, and not all vanish
    direction: Floats = scaled / np.linalg.norm(scaled)
    return direction


def _within_reach(sightings: Sightings, ends: Integers, row: int, limits: Limits) -> Integers:
    """The ends that a capture may take up, of which `row` is a detection."""
    near = sightings.places[row] - sightings.places[ends] <= limits.gap_captures
    if limits.gap_seconds is not None:
        near &= sightings.times[row] - sightings.times[ends] <= limits.gap_seconds
    reached: Integers = ends[near]
    return reached


def _geometry_costs(sightings: Sightings, former: Integers, latter: Integers) -> Floats:
    boxes, others = sightings.boxes[former, None], sightings.boxes[latter]
    first, last = np.maximum(boxes, others)[..., :2], np.minimum(boxes, others)[..., 2:]
    sides = np.maximum(last - first, 0)
    shared = sides[..., 0] * sides[..., 1]
    areas, other_areas = sightings.areas[former, None], sightings.areas[latter]
    overlap = _ratio(shared, areas + other_areas - shared)
    likeness = _ratio(np.minimum(areas, other_areas), np.maximum(areas, other_areas))
    steps = sightings.centres[former, None] - sightings.centres[latter]
    diagonals = np.hypot(*sightings.frames[former].T)[:, None]
    distances: Floats = np.hypot(steps[..., 0], steps[..., 1]) / diagonals
    return (1 - overlap) + (1 - likeness) + distances


def _ratio(part: Floats, whole: Floats) -> Floats:
    """`part` ÷ `whole`, and 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)
