"""Whether rows are right more often after a run than before it: paired comparisons."""

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ami.base.intervals import wilson
from ami.review.statistics.shares import LEVEL

RESAMPLES = 2_000
BLOCK = 1_000_000  # drawn clusters in memory at a time


def mcnemar(regressed: int, corrected: int) -> float:
    """Return the p-value of the exact test of McNemar (1947), from 0 to 1.

    It is the probability of changes at least as lopsided if corrections and regressions were
    equally probable: 2 Bin(min; regressed + corrected, ½), at most 1. Raise ValueError if a number
    is negative.
    """
    if regressed < 0 or corrected < 0:
        raise ValueError(
            f"regressed and corrected must be at least 0, got {regressed} and {corrected}."
        )
    # Import here: at module level, every process would take 0.2 s longer to start.
    from scipy.special import bdtr  # noqa: PLC0415

    return min(1.0, 2 * float(bdtr(min(regressed, corrected), regressed + corrected, 0.5)))


class Difference(NamedTuple):
    """The share right after a run minus the share right before, with its 95 % interval.

    Each is from -1 to 1.
    """

    difference: float
    low: float
    high: float


def paired_difference(
    *, both_right: int, corrected: int, regressed: int, both_wrong: int
) -> Difference:
    """Return the difference of two paired shares with Newcombe's (1998) interval, method 10.

    The numbers are rows that are right before and after, only after, only before, and never. Raise
    ValueError if one is negative or all are 0.
    """
    cells = (both_right, corrected, regressed, both_wrong)
    n = sum(cells)
    if min(cells) < 0 or not n:
        raise ValueError(f"The four numbers must be at least 0 and not all 0, got {cells}.")
    after, before = (both_right + corrected) / n, (both_right + regressed) / n
    after_low, after_high = wilson(after, n)
    before_low, before_high = wilson(before, n)
    correlation = _correlation(both_right, corrected, regressed, both_wrong)
    below = _distance(after - after_low, before_high - before, correlation)
    above = _distance(before - before_low, after_high - after, correlation)
    difference = (corrected - regressed) / n
    return Difference(difference, max(-1.0, difference - below), min(1.0, difference + above))


def _distance(one: float, other: float, correlation: float) -> float:
    return sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))


def _correlation(both_right: int, corrected: int, regressed: int, both_wrong: int) -> float:
    """Return φ of the table, corrected for continuity towards 0 where it is positive."""
    n = both_right + corrected + regressed + both_wrong
    margins = (
        (both_right + corrected)
        * (regressed + both_wrong)
        * (both_right + regressed)
        * (corrected + both_wrong)
    )
    if not margins:
        return 0.0
    product: float = both_right * both_wrong - corrected * regressed
    if product > 0:
        product = max(product - n / 2, 0.0)
    return product / sqrt(margins)


def bootstrap_mean(
    values: ArrayLike,
    clusters: Sequence[Any] | NDArray[Any],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Difference | None:
    """Return the mean of `values` with the 95 % percentile interval of a bootstrap by cluster.

    `values` and `clusters` have one entry per row. Whole clusters are drawn with replacement, since
    the rows of one night are not independent (Davison and Hinkley 1997, section 3.8). With the
    values 1 for corrected, -1 for regressed and 0 for the others, the mean is the difference of the
    shares right. The same seed gives the same interval. None with fewer than two clusters, which
    show no variation. Raise ValueError if the lengths differ.
    """
    numbers = np.asarray(values, dtype=np.float64)
    _, places = np.unique(np.asarray(clusters), return_inverse=True)
    if numbers.shape != places.shape:
        raise ValueError(
            f"values and clusters must have equal lengths, got {numbers.size} and {places.size}."
        )
    sizes = np.bincount(places)
    if len(sizes) < 2:
        return None
    sums = np.bincount(places, weights=numbers).astype(np.float64)
    means = np.concatenate(list(_resampled(sums, sizes, seed, resamples)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(float(numbers.mean()), float(low), float(high))


def _resampled(
    sums: NDArray[np.float64], sizes: NDArray[np.int64], seed: int, resamples: int
) -> Iterator[NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    clusters = len(sums)
    block = max(1, BLOCK // clusters)
    for start in range(0, resamples, block):
        shape = (min(block, resamples - start), clusters)
        drawn = generator.integers(clusters, size=shape)
        yield sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
