"""Which detections of one night show the same individual: costs and optimal assignment.

This module does not use the database: it takes arrays of numbers and returns links.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.intp]

# Costs are rounded because the last bits of a sum depend on the order of its terms.
DECIMALS = 9
ALONE = 1 + 1e-9  # just above the cost of a link at its threshold


class Limits(NamedTuple):
    """What a link may cost, and how far it may reach."""

    cost: float
    geometry_cost: float
    gap_captures: int = 1
    gap_seconds: float | None = None


class Link(NamedTuple):
    """A link between two detections, given by their row numbers: `latter` follows `former`."""

    former: int
    latter: int
    cost: float


@dataclass(frozen=True)
class Sightings:
    """The detections of one night, one row each, in the order of their captures.

    `boxes` (n x 4: x1, y1, x2, y2) and `frames` (n x 2: width, height) are in pixels, `times` (n)
    in seconds. `places` (n) are the captures' numbers in the night, counting empty ones.
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
        """The rows of each capture that has detections."""
        rows = np.arange(len(self.places))
        return iter(np.split(rows, np.flatnonzero(np.diff(self.places)) + 1) if len(rows) else [])

    @cached_property
    def centres(self) -> Floats:
        return self.boxes[:, :2] / 2 + self.boxes[:, 2:] / 2

    @cached_property
    def areas(self) -> Floats:
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return sides[:, 0] * sides[:, 1]


class Pairs(NamedTuple):
    """The costs of pairs (n x m), and whether vectors count in each (n x m)."""

    costs: Floats
    by_vector: NDArray[np.bool_]

    def of(self, former: Integers) -> "Pairs":
        """Those of some of the n, which are given by their places."""
        return Pairs(self.costs[former], self.by_vector[former])

    def shares(self, limits: Limits) -> Floats:
        """The costs as shares of their thresholds."""
        shares: Floats = self.costs / np.where(self.by_vector, limits.cost, limits.geometry_cost)
        return shares


class Nearest(NamedTuple):
    """For detections, given by their row numbers: the end that each is or was nearest to.

    `former` and `latter` (n) are rows, `costs` (n) those of the pairs, and `by_vector` (n) says
    whether vectors count in them.
    """

    former: Integers
    latter: Integers
    costs: Floats
    by_vector: NDArray[np.bool_]


def nearest(sightings: Sightings, links: Iterable[Link], limits: Limits) -> Nearest:
    """The link of each detection to a former one, or else its cheapest pair within reach."""
    linked = {link.latter: link for link in links}
    is_end = np.ones(len(sightings.places), dtype=bool)
    found: list[tuple[int, int, float]] = []
    for rows in sightings.captures():
        ends = np.flatnonzero(is_end[: rows[0]])
        ends = _within_reach(sightings, ends, rows[0], limits)
        own = [linked[row] for row in rows.tolist() if row in linked]
        found += own
        is_end[[link.former for link in own]] = False
        alone = np.array([row for row in rows.tolist() if row not in linked], dtype=np.intp)
        if not (len(ends) and len(alone)):
            continue
        with np.errstate(all="ignore"):
            pairs = pair_costs(sightings, ends, alone)
            shares = pairs.shares(limits)
        best = np.where(np.isnan(shares), np.inf, shares).argmin(axis=0)
        costs = pairs.costs[best, np.arange(len(alone))]
        found += zip(ends[best].tolist(), alone.tolist(), costs.tolist(), strict=True)
    former, latter = (np.array([pair[end] for pair in found], dtype=np.intp) for end in (0, 1))
    lengths = sightings.lengths
    by_vector = (lengths[former] == lengths[latter]) & (lengths[former] > 0)
    return Nearest(former, latter, np.array([pair[2] for pair in found]), by_vector)


def link_detections(sightings: Sightings, limits: Limits) -> list[Link]:
    """Link the detections of each capture to the ends of earlier tracks at the lowest total cost.

    Each end and each detection has at most one link, and each link is within `limits`. An end
    without a link stays available to later captures as long as the gap allows.
    """
    return link_within_each(sightings, [limits])[0]


def link_within_each(sightings: Sightings, each: Sequence[Limits]) -> list[list[Link]]:
    """The links of :func:`link_detections` within each of these limits.

    The cost of a pair is computed once, however many limits there are.
    """
    links: list[list[Link]] = [[] for _ in each]
    ends: list[Integers] = [np.empty(0, dtype=np.intp) for _ in each]
    with np.errstate(all="ignore"):  # numbers out of range make no links
        for rows in sightings.captures():
            ends = [
                _within_reach(sightings, own, rows[0], limits)
                for own, limits in zip(ends, each, strict=True)
            ]
            former = np.unique(np.concatenate(ends))
            pairs = pair_costs(sightings, former, rows)
            for number, limits in enumerate(each):
                own = pairs.of(np.searchsorted(former, ends[number]))
                matched, taken = assign(own.shares(limits))
                columns = (ends[number][matched], rows[taken], own.costs[matched, taken])
                links[number] += map(Link, *(column.tolist() for column in columns))
                ends[number] = np.concatenate([np.delete(ends[number], matched), rows])
    return links


def assign(shares: Floats) -> tuple[Integers, Integers]:
    """The rows and columns of the optimal assignment for costs as shares of their thresholds.

    Leaving a detection without a link costs as much as a link at its threshold, so that two
    expensive links never displace one that costs almost nothing. NaN means no link.
    """
    # Import here: at module level, every process would take 0.25 s longer to start.
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    possible = shares <= 1
    rows, columns = linear_sum_assignment(np.where(possible, shares, ALONE))
    kept = possible[rows, columns]
    return rows[kept], columns[kept]


def pair_costs(sightings: Sightings, former: Integers, latter: Integers) -> Pairs:
    """The costs of all pairs of these rows.

    Cost = (1 - cosine) + (1 - IoU) + (1 - smaller ÷ larger area) + centre distance ÷ diagonal of
    the former's frame; without the first term, and with a threshold of its own, where one of the
    two has no vector or theirs differ in length.
    """
    costs = _geometry_costs(sightings, former, latter)
    lengths = sightings.lengths
    by_vector = (lengths[former, None] == lengths[latter]) & (lengths[former, None] > 0)
    if by_vector.any():
        cosines = sightings.directions[former] @ sightings.directions[latter].T
        costs += np.where(by_vector, 1 - np.clip(cosines, -1, 1), 0)
    return Pairs(np.round(costs, DECIMALS), by_vector)


def direction_of(vector: Floats) -> Floats | None:
    """The vector scaled to length 1; None for a vector without a direction.

    A vector of zeros, an empty vector, and one with NaN or infinity have no direction.
    """
    largest = np.abs(vector).max(initial=0)
    if not 0 < largest < np.inf:
        return None
    scaled: Floats = vector / largest  # so that the squares neither overflow nor all underflow
    direction: Floats = scaled / np.linalg.norm(scaled)
    return direction


def _within_reach(sightings: Sightings, ends: Integers, row: int, limits: Limits) -> Integers:
    """The ends that may be linked to the capture of the detection `row`."""
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
    """`part` ÷ `whole`; 0 where `whole` is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)
