"""A reference implementation of tracking in plain Python, which tries every assignment."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Limits(NamedTuple):
    """The highest costs of a link, with and without vectors, and its maximum gap."""

    cost: float
    geometry_cost: float
    gap_captures: int
    gap_seconds: float | None


class Box(NamedTuple):
    """A detection on the capture with the number `place`, taken at `time`."""

    place: int
    time: float
    corners: tuple[float, float, float, float]
    vector: tuple[float, ...] = ()
    frame: tuple[float, float] = (100, 100)

    @property
    def area(self) -> float:
        x1, y1, x2, y2 = self.corners
        return (x2 - x1) * (y2 - y1)

    @property
    def centre(self) -> tuple[float, float]:
        x1, y1, x2, y2 = self.corners
        return (x1 + x2) / 2, (y1 + y2) / 2


def share(former: Box, latter: Box, limits: Limits) -> tuple[float, float]:
    """The cost of a link, relative to its threshold and absolute."""
    cost = (
        (1 - _overlap(former, latter))
        + (1 - _quotient(min(former.area, latter.area), max(former.area, latter.area)))
        + math.dist(former.centre, latter.centre) / math.hypot(*former.frame)
    )
    if len(former.vector) != len(latter.vector) or not any(former.vector) or not any(latter.vector):
        return cost / limits.geometry_cost, cost
    dot = sum(a * b for a, b in zip(former.vector, latter.vector, strict=True))
    cost += 1 - dot / math.hypot(*former.vector) / math.hypot(*latter.vector)
    return cost / limits.cost, cost


def reachable(former: Box, latter: Box, limits: Limits) -> bool:
    if not 1 <= latter.place - former.place <= limits.gap_captures:
        return False
    return limits.gap_seconds is None or latter.time - former.time <= limits.gap_seconds


def best_total(ends: Sequence[Box], boxes: Sequence[Box], limits: Limits) -> float:
    """The lowest sum of relative costs over all assignments; each link saves 1."""
    if not ends:
        return 0
    end, *others = ends
    totals = [best_total(others, boxes, limits)]
    for number, box in enumerate(boxes):
        part, _ = share(end, box, limits)
        if part <= 1 and reachable(end, box, limits):
            rest = [*boxes[:number], *boxes[number + 1 :]]
            totals.append(part - 1 + best_total(others, rest, limits))
    return min(totals)


def _overlap(one: Box, other: Box) -> float:
    width = min(one.corners[2], other.corners[2]) - max(one.corners[0], other.corners[0])
    height = min(one.corners[3], other.corners[3]) - max(one.corners[1], other.corners[1])
    shared = max(width, 0) * max(height, 0)
    return _quotient(shared, one.area + other.area - shared)


def _quotient(part: float, whole: float) -> float:
    return part / whole if whole else 0
