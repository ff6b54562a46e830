"""Paired comparisons, before and after a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami.review.statistics.paired import bootstrap_mean, mcnemar, paired_difference
from ami.review.statistics.tests.properties import QUICK

COUNT = st.integers(0, 200)


@pytest.mark.parametrize(
    ("changes", "p"),
    [
        ((10, 2), 0.03857422),
        ((25, 9), 0.00904118),
        ((6, 0), 0.03125),
        ((59, 6), 4.964651e-12),
        ((5, 5), 1),
        ((0, 0), 1),
    ],
)
def test_exact_mcnemar(changes: tuple[int, int], p: float) -> None:
    assert mcnemar(*changes) == pytest.approx(p, rel=1e-6)
    assert mcnemar(*reversed(changes)) == mcnemar(*changes)


@pytest.mark.parametrize(
    ("table", "difference", "interval"),
    [
        ((36, 12, 2, 0), 0.20, (0.056930, 0.340428)),
        ((70, 20, 5, 5), 0.15, (0.053147, 0.246845)),
    ],
)
def test_difference_of_newcombe(
    table: tuple[int, int, int, int], difference: float, interval: tuple[float, float]
) -> None:
    both, corrected, regressed, neither = table
    found = paired_difference(
        both_right=both, corrected=corrected, regressed=regressed, both_wrong=neither
    )
    assert found.difference == pytest.approx(difference)
    assert found[1:] == pytest.approx(interval, abs=1e-6)


@QUICK
@given(COUNT, COUNT, COUNT, st.integers(1, 200))
def test_difference_is_mirrored_if_before_and_after_change_places(
    both: int, corrected: int, regressed: int, neither: int
) -> None:
    there = paired_difference(
        both_right=both, corrected=corrected, regressed=regressed, both_wrong=neither
    )
    back = paired_difference(
        both_right=both, corrected=regressed, regressed=corrected, both_wrong=neither
    )
    assert -1 <= there.low <= there.difference <= there.high <= 1
    assert back == pytest.approx((-there.difference, -there.high, -there.low), abs=1e-9)


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="got -1 and 2"):
        mcnemar(-1, 2)
    with pytest.raises(ValueError, match="not all 0"):
        paired_difference(both_right=0, corrected=0, regressed=0, both_wrong=0)
    with pytest.raises(ValueError, match="got 3 and 2"):
        bootstrap_mean([1, 0, 0], ["a", "b"], seed=1)


class TestBootstrap:
    def test_it_agrees_with_the_formula_where_rows_are_independent(self) -> None:
        values = np.repeat([1, -1, 0], [150, 50, 800])
        found = bootstrap_mean(values, np.arange(1_000), seed=4)
        assert found is not None
        assert found.difference == pytest.approx(0.1)
        expected = paired_difference(both_right=400, corrected=150, regressed=50, both_wrong=400)
        assert found == pytest.approx(expected, abs=0.006)

    def test_rows_of_one_night_that_are_alike_count_as_one(self) -> None:
        values, nights = [1, 0, 0, -1, 1, 1] * 5, range(30)
        alone = bootstrap_mean(values, nights, seed=2)
        crowded = bootstrap_mean(np.repeat(values, 40), np.repeat(nights, 40), seed=2)
        assert alone is not None
        assert crowded == pytest.approx(alone)

    def test_seed_decides(self) -> None:
        values = np.random.default_rng(0).normal(size=200)
        nights = [f"night {number % 37}" for number in range(200)]
        first, again, other = (bootstrap_mean(values, nights, seed=s) for s in (1, 1, 2))
        assert first == again
        assert first != other

    def test_one_night_shows_no_variation(self) -> None:
        assert bootstrap_mean([1, 0, 1], [5, 5, 5], seed=1) is None
        assert bootstrap_mean([], [], seed=1) is None

    def test_result_does_not_depend_on_the_order_of_rows(self) -> None:
        generator = np.random.default_rng(3)
        values, nights = generator.integers(-1, 2, 500), generator.integers(0, 20, 500)
        order = generator.permutation(500)
        assert bootstrap_mean(values, nights, seed=7) == bootstrap_mean(
            values[order], nights[order], seed=7
        )

    @QUICK
    @given(st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 5)), min_size=1))
    def test_interval_lies_within_the_values(self, rows: list[tuple[int, int]]) -> None:
        values, nights = zip(*rows, strict=True)
        found = bootstrap_mean(values, nights, seed=1, resamples=50)
        if found is not None:
            assert min(values) <= found.low <= found.high <= max(values)
