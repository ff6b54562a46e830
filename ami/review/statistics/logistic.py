"""From a score to the probability that a name is right, and from a probability to a threshold."""

from math import floor
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

STEPS = 100
PRECISE = 1e-10
NEAREST = 1e-6  # to 0 and 1: scores of single precision reach both, where the logit is infinite


class CannotFitError(ValueError):
    """No logistic curve fits these answers best; the message says why."""


class Logistic(NamedTuple):
    """The curve P(right) = 1 ÷ (1 + exp(-(intercept + slope · x))).

    x is the score, or its logit if `of_logit`; `n` answers were used to fit the curve.
    """

    intercept: float
    slope: float
    of_logit: bool
    n: int

    def probabilities(self, scores: ArrayLike) -> Floats:
        """Return P(right) of each score; scores and probabilities are from 0 to 1."""
        return _sigmoid(self.intercept + self.slope * _x(scores, of_logit=self.of_logit))

    def crossing(self, probability: float) -> float:
        """Return the score where the curve reaches the probability; it may lie outside 0 to 1.

        Raise ValueError unless the probability is between 0 and 1, and ZeroDivisionError if the
        slope is 0.
        """
        if not 0 < probability < 1:
            raise ValueError(f"probability must be between 0 and 1, got {probability}.")
        x = (float(_logit(probability)) - self.intercept) / self.slope
        return float(_sigmoid(x)) if self.of_logit else x

    def threshold(self, probability: float) -> float | None:
        """Return the lowest score from 0 to 1 with at least this P(right).

        None means that the probability is out of reach: even a score of 1 is right less often, or
        higher scores are not right more often. Raise ValueError unless the probability is between
        0 and 1.
        """
        if self.slope <= 0:
            return None
        score = self.crossing(probability)
        highest = 1 - NEAREST if self.of_logit else 1
        return max(0.0, score) if score <= highest else None

    def words(self, probability: float) -> str:
        """Say `threshold` in words: "95 % of the names are right at a score of 0.871"."""
        score = self.threshold(probability)
        percent = f"{100 * probability:g} %"
        if score is not None:
            return f"{percent} of the names are right at a score of {score:.3f}"
        if self.slope <= 0:
            return f"{percent} is out of reach: higher scores are not right more often"
        best = floor(1000 * float(self.probabilities(1.0))) / 10
        return f"{percent} is out of reach: at a score of 1, {best} % of the names are right"


def fit_logistic(scores: ArrayLike, right: ArrayLike, *, of_logit: bool = True) -> Logistic:
    """Fit P(right) by maximum likelihood, without a penalty, with Newton's method.

    `scores` (from 0 to 1) and `right` have one entry per answer. With `of_logit`, the curve is one
    of the logit of the score (Platt 1999); scores closer than 10⁻⁶ to 0 or 1 are moved to this
    distance. Raise ValueError if the lengths differ or a score is out of range, and CannotFitError
    if the likelihood has no maximum: all answers are alike, or a score separates right from wrong.
    """
    x, y = _x(scores, of_logit=of_logit), np.asarray(right, dtype=bool)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"scores and right must be lists of equal lengths, got {x.size} and {y.size}."
        )
    _refuse_separation(x, y)
    # With a mean of 0 and a spread of 1, Newton's steps are well scaled.
    centre, spread = float(x.mean()), float(x.std())
    intercept, slope = _maximum((x - centre) / spread, y)
    slope /= spread
    return Logistic(intercept - slope * centre, slope, of_logit, len(y))


def _refuse_separation(x: Floats, y: NDArray[np.bool_]) -> None:
    if y.all() or not y.any():
        kind = "right" if y.all() else "wrong"
        raise CannotFitError(
            f"All {len(y)} answers are {kind}, so the score cannot tell them apart. "
            "Judge more rows, of low scores too."
        )
    if x.min() == x.max():
        raise CannotFitError("All scores are equal. Judge rows of different scores.")
    if x[~y].max() <= x[y].min() or x[y].max() <= x[~y].min():
        raise CannotFitError(
            "A score separates all right answers from all wrong ones, so no curve fits best: the "
            "steeper, the better. Judge more rows near this score."
        )


def _maximum(x: Floats, y: NDArray[np.bool_]) -> tuple[float, float]:
    design = np.column_stack([np.ones_like(x), x])
    beta = np.zeros(2)
    likelihood = _log_likelihood(design @ beta, y)
    for _ in range(STEPS):
        shares = _sigmoid(design @ beta)
        weights = shares * (1 - shares)
        step = np.linalg.solve((design * weights[:, None]).T @ design, design.T @ (y - shares))
        while _log_likelihood(design @ (beta + step), y) < likelihood - PRECISE:
            step /= 2
        beta = beta + step
        likelihood = _log_likelihood(design @ beta, y)
        if np.abs(step).max() < PRECISE:
            break
    return float(beta[0]), float(beta[1])


def _log_likelihood(linear: Floats, y: NDArray[np.bool_]) -> float:
    return -float(np.logaddexp(0, np.where(y, -linear, linear)).sum())


def _x(scores: ArrayLike, *, of_logit: bool) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores must be from 0 to 1.")
    return _logit(np.clip(values, NEAREST, 1 - NEAREST)) if of_logit else values


def _logit(shares: Floats | float) -> Floats:
    shares = np.asarray(shares, dtype=np.float64)
    return np.asarray(np.log(shares) - np.log1p(-shares))


def _sigmoid(x: Floats | float) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, np.negative(x))))
