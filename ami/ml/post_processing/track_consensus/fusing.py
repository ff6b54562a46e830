"""Fuse the distributions of an individual's frames into one.

This module does not use the database: it takes arrays of numbers and returns arrays.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.intp]
Box: TypeAlias = Sequence[float]  # x1, y1, x2, y2
Rule: TypeAlias = Literal["mean", "log_mean", "best"]

STILL = 0.9  # two boxes with a greater IoU show an individual that has not moved
FLOOR = 1e-9  # the least probability of which the logarithm is taken


class Fusion:
    """Fuses the distributions of several individuals, some rows at a time.

    The rows of `width` probabilities are added in any number of portions; what is in memory does
    not grow with their number. Rules: `mean` is the weighted arithmetic mean. `log_mean` is the
    weighted geometric mean, scaled to the mean sum of the rows; a class that is 0 in each row
    stays 0. `best` is the row with the highest probability, the first of equal ones.
    """

    def __init__(self, individuals: int, width: int, rule: Rule) -> None:
        self.rule = rule
        self.fused = np.zeros((individuals, width))
        self.weights = np.zeros(individuals)
        self.mass = np.zeros(individuals)
        self.highest = np.full(individuals, -1.0)
        self.seen = np.zeros((individuals, width if rule == "log_mean" else 0), dtype=bool)

    def add(self, individuals: Integers, weights: Floats, shares: Floats) -> None:
        """Add rows: the place of the individual of each (n, ascending), its weight (n) and its
        probabilities (n x width)."""
        if not len(individuals):
            return
        starts = np.flatnonzero(np.diff(individuals, prepend=-1))
        own = individuals[starts]
        if self.rule == "best":
            self._keep_best(individuals, shares)
            return
        self.weights[own] += np.add.reduceat(weights, starts)
        values = shares
        if self.rule == "log_mean":
            values = np.log(np.maximum(shares, FLOOR))
            self.seen[own] |= np.logical_or.reduceat(shares > 0, starts, axis=0)
            self.mass[own] += np.add.reduceat(weights * shares.sum(axis=1), starts)
        ends = [*starts[1:], len(individuals)]
        for place, start, end in zip(own, starts, ends, strict=True):
            # One product per individual needs no copy of all rows, which takes three times as long.
            self.fused[place] += weights[start:end] @ values[start:end]

    def result(self) -> Floats:
        """The distribution of each individual (individuals x width); zeros if it has no rows."""
        if self.rule == "best":
            return self.fused
        means = _divided(self.fused, self.weights)
        if self.rule == "mean":
            return means
        highest = np.where(self.seen, means, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
        powers: Floats = np.where(self.seen, np.exp(np.minimum(means - highest, 0)), 0)
        scales = _divided(self.mass, self.weights)
        return _divided(powers, powers.sum(axis=1)) * scales[:, None]

    def _keep_best(self, individuals: Integers, shares: Floats) -> None:
        tops = shares.max(axis=1)
        order = np.lexsort((-tops, individuals))  # stable: the first of equal ones stays first
        first = order[np.flatnonzero(np.diff(individuals[order], prepend=-1))]
        better = first[tops[first] > self.highest[individuals[first]]]
        self.highest[individuals[better]] = tops[better]
        self.fused[individuals[better]] = shares[better]


def fuse(shares: ArrayLike, *, rule: Rule, weights: ArrayLike | None = None) -> Floats:
    """The fused distribution of one individual with the rows `shares` (n x classes).

    `weights` (n) are those of the rows; by default, all are the same.
    """
    rows = np.asarray(shares, dtype=float)
    own = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=float)
    fusion = Fusion(1, rows.shape[1], rule)
    fusion.add(np.zeros(len(rows), dtype=np.intp), own, rows)
    fused: Floats = fusion.result()[0]
    return fused


def at_temperature(shares: Floats, temperature: float) -> Floats:
    """The probabilities (n x classes) at this temperature, as softmax(logits ÷ temperature) is.

    Their sum and their order stay the same, and a class that is 0 stays 0.
    """
    if temperature == 1:
        return shares
    highest = shares.max(axis=1)
    powers = _divided(shares, highest) ** (1 / temperature)
    return powers * _divided(shares.sum(axis=1), powers.sum(axis=1))[:, None]


def weigh(boxes: Sequence[Box | None], areas: Sequence[float | None]) -> list[float]:
    """The weight of each frame of one individual, in the order of time.

    `areas` holds the share of the frame that each box covers. A frame weighs as much as its area
    in relation to the largest one. Frames without a movement between them are one look, whose
    weight is the mean of its frames, however many they are: successive frames whose boxes have an
    IoU above 0.9 with the box of the first of them. A frame without a box is one look, with the
    mean area of the others.
    """
    known = [area for area in areas if area]
    largest = max(known, default=1.0)
    usual = sum(known) / len(known) / largest if known else 1.0
    looks: list[int] = []
    first: Box | None = None
    for box in boxes:
        if looks and first and box and overlap(first, box) > STILL:
            looks.append(looks[-1])
        else:
            looks.append(len(looks))
            first = box
    frames = Counter(looks)
    return [
        (area / largest if area else usual) / frames[look]
        for area, look in zip(areas, looks, strict=True)
    ]


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes with a positive area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _divided(rows: Floats, by: Floats) -> Floats:
    """Each row divided by its number; 0 where that is 0."""
    divisor = by.reshape(-1, *[1] * (rows.ndim - 1))
    return np.divide(rows, divisor, out=np.zeros_like(rows), where=divisor != 0)
