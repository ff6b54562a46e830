"""Thresholds for a target accuracy in a hierarchy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami.review.statistics import climbing
from ami.review.statistics.climbing import climb, row_thresholds, threshold_for
from ami.review.statistics.tests.properties import QUICK

# Four species in two genera of one family.
PATHS = np.array([[0, 10, 20], [1, 10, 20], [2, 11, 20], [3, 11, 20]])
SHARES = np.array(
    [
        [0.7, 0.2, 0.05, 0.05],
        [0.4, 0.35, 0.15, 0.1],
        [0.3, 0.1, 0.35, 0.25],
        [0.5, 0.1, 0.3, 0.1],
        [0.25, 0.3, 0.25, 0.2],
        [0.9, 0.05, 0.03, 0.02],
        [0.1, 0.1, 0.6, 0.2],
        [0.45, 0.15, 0.3, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.15, 0.15, 0.3, 0.4],
    ]
)
TRUTH = np.array([0, 1, 2, 0, 0, 0, 3, 2, 1, 2])


def test_known_example() -> None:
    found = row_thresholds(SHARES, PATHS, PATHS[TRUTH])
    assert np.sort(found) == pytest.approx([0, 0, 0, 0, 0, 0.3, 0.4, 0.4, 0.6, 0.6])
    for accuracy, threshold in ((0.9, 0.6), (0.8, 0.6), (0.7, 0.4)):
        assert threshold_for(found, accuracy) == pytest.approx(threshold)


def test_too_few_rows_lead_to_the_root() -> None:
    found = row_thresholds(SHARES, PATHS, PATHS[TRUTH])
    assert threshold_for(found, 0.95) == 1
    assert climb(SHARES, PATHS[:, :2], 1.0).tolist() == [-1] * 10


def test_place_is_not_shifted_by_rounding() -> None:
    assert threshold_for([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 1 - 0.7) == 0.3


def test_climbing_ends_at_the_first_taxon_above_the_threshold() -> None:
    assert climb(SHARES[:3], PATHS, 0.6).tolist() == [0, 10, 20]
    assert climb(SHARES[:3], PATHS, 0.5).tolist() == [0, 10, 11]
    assert climb(SHARES[:3], PATHS[:, :2], 0.8).tolist() == [10, -1, -1]


def test_level_without_a_taxon_is_passed_over() -> None:
    paths = PATHS.copy()
    paths[:2, 1] = -1
    assert climb(SHARES[:3], paths, 0.5).tolist() == [0, 20, 11]
    assert row_thresholds(SHARES[:1], paths, np.array([[9, 12, 20]])).tolist() == [0.7]


def test_true_taxon_need_not_be_a_class() -> None:
    found = row_thresholds(SHARES[:2], PATHS, np.array([[9, 10, 20], [9, 12, 21]]))
    assert found == pytest.approx([0.7, 1])


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = row_thresholds(SHARES, PATHS, PATHS[TRUTH])
    monkeypatch.setattr(climbing, "ROWS", 3)
    assert row_thresholds(SHARES, PATHS, PATHS[TRUTH]).tolist() == whole.tolist()


@pytest.mark.parametrize(
    ("shares", "truth", "message"),
    [
        (SHARES, PATHS, r"true_paths must have the shape \(10, 3\), got \(4, 3\)"),
        (SHARES[:, :3], PATHS[TRUTH], r"shares must have 4 columns, got the shape \(10, 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shares: Any, truth: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row_thresholds(shares, PATHS, truth)


@pytest.mark.parametrize("accuracy", [0, 1])
def test_certainty_is_no_target(accuracy: float) -> None:
    with pytest.raises(ValueError, match="accuracy must be between 0 and 1"):
        threshold_for([0.5], accuracy)


@QUICK
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.8, 0.9]))
def test_threshold_of_a_row_is_the_lowest_that_is_right(seed: int, accuracy: float) -> None:
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.full(4, 0.7), size=30)
    truth = PATHS[generator.integers(0, 4, 30)]
    found = row_thresholds(shares, PATHS, truth)
    for row in range(30):
        at = climb(shares[row : row + 1], PATHS, found[row])[0]
        assert at in truth[row] or at == -1
        if found[row]:
            below = climb(shares[row : row + 1], PATHS, found[row] - 1e-9)[0]
            assert below not in truth[row]
    threshold = threshold_for(found, accuracy)
    right = [
        at == -1 or at in row
        for at, row in zip(climb(shares, PATHS, threshold), truth, strict=True)
    ]
    assert np.mean(right) >= accuracy
