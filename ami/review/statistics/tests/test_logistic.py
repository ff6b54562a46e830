"""Logistic curves of scores."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ami.review.statistics.logistic import CannotFitError, Logistic, fit_logistic
from ami.review.statistics.tests.properties import QUICK

SCORES = [0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.55, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99]
RIGHT = [0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1]


def test_curve_of_the_logit() -> None:
    found = fit_logistic(SCORES, RIGHT)
    assert found[:2] == pytest.approx((-0.70433041, 1.9134088), abs=1e-7)
    for probability, score in ((0.90, 0.820013), (0.95, 0.870676), (0.99, 0.941013)):
        assert found.threshold(probability) == pytest.approx(score, abs=1e-6)
        assert found.probabilities([score]) == pytest.approx(probability, abs=1e-5)
    assert found.words(0.95) == "95 % of the names are right at a score of 0.871"
    assert found.n == 16


def test_curve_of_the_score_may_not_reach_a_probability() -> None:
    found = fit_logistic(SCORES, RIGHT, of_logit=False)
    for probability, score in ((0.85, 0.767359), (0.90, 0.818572), (0.95, 0.901291)):
        assert found.threshold(probability) == pytest.approx(score, abs=1e-6)
    assert found.crossing(0.99) == pytest.approx(1.084024, abs=1e-6)
    assert found.threshold(0.99) is None
    assert (
        found.words(0.99) == "99 % is out of reach: at a score of 1, 97.8 % of the names are right"
    )


def test_threshold_is_never_below_zero() -> None:
    assert Logistic(2, 1, of_logit=False, n=9).threshold(0.5) == 0


def test_level_curve_has_no_threshold() -> None:
    assert Logistic(2, 0, of_logit=True, n=9).threshold(0.5) is None


def test_higher_scores_that_are_right_less_often_have_no_threshold() -> None:
    found = fit_logistic(SCORES, RIGHT[::-1])
    assert found.slope < 0
    assert found.threshold(0.9) is None
    assert found.words(0.9) == "90 % is out of reach: higher scores are not right more often"


def test_scores_of_zero_and_one_are_allowed() -> None:
    found = fit_logistic([0, 1, 1, *SCORES], [1, 0, 1, *RIGHT])
    assert np.isfinite(found.probabilities([0, 0.5, 1])).all()


@pytest.mark.parametrize(
    ("scores", "right", "reason"),
    [
        ([0.1, 0.4, 0.6, 0.8], [0, 0, 1, 1], "separates all right answers from all wrong ones"),
        ([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1], "separates all right answers from all wrong ones"),
        ([0.1, 0.4, 0.6, 0.8], [1, 1, 0, 0], "separates all right answers from all wrong ones"),
        ([0.1, 0.4], [1, 1], "All 2 answers are right"),
        ([0.1, 0.4], [0, 0], "All 2 answers are wrong"),
        ([0.4, 0.4], [0, 1], "All scores are equal"),
    ],
)
def test_answers_without_a_best_curve_are_refused(scores: Any, right: Any, reason: str) -> None:
    with pytest.raises(CannotFitError, match=reason):
        fit_logistic(scores, right)


@pytest.mark.parametrize(
    ("scores", "right", "message"),
    [
        ([0.5], [1, 0], "got 1 and 2"),
        ([1.5, 0], [1, 0], "scores must be from 0 to 1"),
        ([np.nan, 0], [1, 0], "scores must be from 0 to 1"),
    ],
)
def test_impossible_scores_are_refused(scores: Any, right: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_logistic(scores, right)


@pytest.mark.parametrize("probability", [0, 1])
def test_certainty_is_no_target(probability: float) -> None:
    with pytest.raises(ValueError, match="probability must be between 0 and 1"):
        fit_logistic(SCORES, RIGHT).threshold(probability)


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=3, max_size=60),
    st.booleans(),
)
def test_curve_is_at_its_maximum(rows: list[tuple[int, bool]], of_logit: bool) -> None:
    scores, right = np.array([score / 100 for score, _ in rows]), np.array([y for _, y in rows])
    try:
        found = fit_logistic(scores, right, of_logit=of_logit)
    except CannotFitError:
        assume(False)
    # Where the likelihood is highest, the curve gives as many right answers as there are.
    shares = found.probabilities(scores)
    assert shares.sum() == pytest.approx(right.sum(), abs=1e-5)
    order = np.argsort(scores)
    steps = np.diff(shares[order]) * np.sign(found.slope)
    assert (steps >= -1e-12).all()
