"""Agreement of two people."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami.review.statistics.agreement import agreement_table, kappa
from ami.review.statistics.tests.properties import QUICK

ANSWERS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1)


def test_known_table() -> None:
    assert kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)


def test_three_categories() -> None:
    # Observed 0.65, by chance 0.34.
    assert kappa([[20, 5, 5], [5, 20, 10], [5, 5, 25]]) == pytest.approx((0.65 - 0.335) / 0.665)


def test_chance_gives_zero() -> None:
    assert kappa(np.outer([1, 2, 3], [3, 2, 1])) == pytest.approx(0)


def test_one_answer_to_everything_shows_nothing() -> None:
    assert kappa([[12, 0], [0, 0]]) is None
    assert kappa([[0, 12], [0, 0]]) == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[1, 2]], r"must be square, got the shape \(1, 2\)"),
        ([1, 2], r"must be square, got the shape \(2,\)"),
        ([[0, 0], [0, 0]], "at least one above 0"),
        ([[2, -1], [0, 1]], "counts from 0"),
    ],
)
def test_impossible_tables_are_refused(table: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kappa(table)


def test_table_of_answers() -> None:
    answers, table = agreement_table(["a", "b", "a"], ["a", "a", "c"])
    assert answers == ["a", "b", "c"]
    assert table.tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match="got 1 and 2"):
        agreement_table(["a"], ["a", "b"])


@QUICK
@given(ANSWERS)
def test_order_of_people_and_answers_does_not_matter(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    found = kappa(agreement_table(first, second)[1])
    assert kappa(agreement_table(second, first)[1]) == pytest.approx(found)
    assert kappa(agreement_table(first[::-1], second[::-1])[1]) == pytest.approx(found)
    if found is not None:
        assert -1 - 1e-12 <= found <= 1 + 1e-12
        assert (found == pytest.approx(1)) == (first == second)
