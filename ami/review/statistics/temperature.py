"""How confident a model is, against how often it is right: temperature and calibration error."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LOWEST, HIGHEST = 0.01, 100.0  # temperatures
PRECISE = 1e-7  # relative error of the temperature
BLOCK = 100_000  # logits copied at a time: what fits into the cache of a processor
BINS = 15


class Temperature(NamedTuple):
    """The best temperature, and the mean of -log p of the true class with and without it.

    `n` is the number of rows.
    """

    temperature: float
    loss: float
    loss_before: float
    n: int


class NoTemperatureError(ValueError):
    """No temperature from 0.01 to 100 minimises the loss; the message says why."""


def fit_temperature(logits: NDArray[np.floating], classes: ArrayLike) -> Temperature:
    """Find the temperature T that minimises the mean of -log softmax(z ÷ T) (Guo et al. 2017).

    `logits` (rows x classes) is read in place, a block of rows at a time, so it may be a memory
    map. Logarithms of probabilities are logits, too, as long as none is 0. `classes` is the column
    of the true class of each row.

    Raise ValueError if there is no row, a class is not a column, or a logit is not finite, and
    NoTemperatureError if the loss has no minimum.
    """
    truth = np.asarray(classes, dtype=np.intp)
    _check(logits, truth)
    # Import here: at module level, every process would take 0.4 s longer to start.
    from scipy.optimize import brentq  # noqa: PLC0415

    # The loss is convex in 1 ÷ T, so its minimum is where its slope changes its sign.
    at = cache(partial(_loss, logits, truth))
    low, high = _bracket(lambda inverse: at(inverse).slope)
    inverse = brentq(lambda inverse: at(inverse).slope, low, high, rtol=PRECISE)
    return Temperature(1 / inverse, at(inverse).loss, at(1.0).loss, len(truth))


def _bracket(slope: Callable[[float], float]) -> tuple[float, float]:
    """Return two values of 1 ÷ T around the minimum, the greater at most twice the other."""
    low = high = 1.0
    while slope(low) > 0:
        if low < 1 / HIGHEST:
            raise NoTemperatureError(
                "The true class has no higher logits than the others: any higher temperature fits "
                "better. Check that the classes belong to these logits."
            )
        low, high = low / 2, low
    while slope(high) <= 0:
        if high > 1 / LOWEST:
            raise NoTemperatureError(
                "The true class has the highest logit in nearly every row: any lower temperature "
                "fits better. Use rows on which the model makes mistakes."
            )
        low, high = high, high * 2
    return low, high


class Bin(NamedTuple):
    """A bar of a reliability diagram: rows with a confidence above `low` and up to `high`.

    `confidence` is their mean confidence and `accuracy` the share of them that is right; both are
    None without rows.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def reliability(confidences: ArrayLike, right: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Return the bars of a reliability diagram, with bins (k ÷ bins, (k + 1) ÷ bins].

    `confidences` (from 0 to 1; 0 counts in the first bin) and `right` have one entry per row. Raise
    ValueError if their lengths differ or a confidence is out of range.
    """
    scores, hits = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if scores.shape != hits.shape:
        raise ValueError(
            f"confidences and right must have equal lengths, got {scores.size} and {hits.size}."
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("confidences must be from 0 to 1.")
    edges = np.arange(bins + 1) / bins
    places = np.digitize(scores, edges[1:-1], right=True)
    counts = np.bincount(places, minlength=bins)
    sums = np.bincount(places, weights=scores, minlength=bins)
    rights = np.bincount(places, weights=hits, minlength=bins)
    return [
        Bin(low, high, n, total / n if n else None, correct / n if n else None)
        for low, high, n, total, correct in zip(
            edges[:-1].tolist(),
            edges[1:].tolist(),
            counts.tolist(),
            sums.tolist(),
            rights.tolist(),
            strict=True,
        )
    ]


def calibration_error(confidences: ArrayLike, right: ArrayLike, bins: int = BINS) -> float | None:
    """Return the expected calibration error, from 0 to 1 (Guo et al. 2017).

    It is the mean distance of accuracy and confidence over the bins of `reliability`, weighted by
    their rows. None without rows. Raise what `reliability` raises.
    """
    filled = [
        (found.n, abs(found.accuracy - found.confidence))
        for found in reliability(confidences, right, bins)
        if found.accuracy is not None and found.confidence is not None
    ]
    total = sum(n for n, _ in filled)
    return sum(n * gap for n, gap in filled) / total if total else None


def _check(logits: NDArray[np.floating], truth: NDArray[np.intp]) -> None:
    if logits.ndim != 2 or not logits.size or truth.shape != logits.shape[:1]:
        raise ValueError(
            "logits must be rows x classes with one class per row, "
            f"got the shapes {logits.shape} and {truth.shape}."
        )
    if truth.min() < 0 or truth.max() >= logits.shape[1]:
        raise ValueError(
            f"classes must be from 0 to {logits.shape[1] - 1}, got {truth.min()} to {truth.max()}."
        )


class _Loss(NamedTuple):
    loss: float
    slope: float


def _loss(logits: NDArray[np.floating], truth: NDArray[np.intp], inverse: float) -> _Loss:
    """Return the mean loss at temperature 1 ÷ `inverse`, and its derivative by `inverse`.

    The derivative is the expected logit minus the logit of the true class.
    """
    totals = sum(_block_sums(logits, truth, inverse), np.zeros(2)) / len(truth)
    if not np.isfinite(totals).all():
        raise ValueError("logits must be finite numbers.")
    return _Loss(*totals.tolist())


def _block_sums(
    logits: NDArray[np.floating], truth: NDArray[np.intp], inverse: float
) -> Iterator[Floats]:
    kind = np.result_type(logits, np.float32)  # whole numbers and half precision would round
    rows = max(1, BLOCK // logits.shape[1])
    for start in range(0, len(truth), rows):
        block = logits[start : start + rows].astype(kind, copy=False)
        with np.errstate(invalid="ignore"):  # infinite logits are reported by their sum
            # Relative to the highest logit of each row, so that no exponential overflows.
            gaps = block - block.max(axis=1, keepdims=True)
            true = gaps[np.arange(len(gaps)), truth[start : start + rows]].astype(np.float64)
            shares = np.exp(gaps * gaps.dtype.type(inverse))
            mass = shares.sum(axis=1, dtype=np.float64)
            mean = np.einsum("ij,ij->i", shares, gaps) / mass
            yield np.array([(np.log(mass) - inverse * true).sum(), (mean - true).sum()])
