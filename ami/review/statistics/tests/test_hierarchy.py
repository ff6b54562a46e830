"""Hierarchical precision and recall."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami.review.statistics.hierarchy import hierarchical_scores
from ami.review.statistics.tests.properties import QUICK

NAMES = ["L", "L/No", "L/No/Ag", "L/No/Ag/ip", "L/No/Ag/se", "L/No/No/pr", "L/Ge/Id/av"]


def lineage(path: str) -> set[str]:
    steps = path.split("/")
    return {"/".join(steps[: number + 1]) for number in range(len(steps))}


LINEAGES = {name: lineage(name) for name in NAMES}


PAIRS = Counter(
    [
        ("L/No/Ag/ip", "L/No/Ag/ip"),
        ("L/No/Ag/ip", "L/No/Ag/se"),
        ("L/Ge/Id/av", "L/No/Ag/ip"),
        ("L/No", "L/No/No/pr"),
    ]
)


def test_name_that_is_too_coarse_costs_recall() -> None:
    found = hierarchical_scores(PAIRS, LINEAGES)
    assert found == pytest.approx((10 / 14, 10 / 16, 2 / 3))


def test_name_that_is_finer_than_what_is_known_costs_precision() -> None:
    pairs = PAIRS - Counter([("L/No", "L/No/No/pr")]) + Counter([("L/No/No/pr", "L/No")])
    found = hierarchical_scores(pairs, LINEAGES)
    assert found == pytest.approx((10 / 16, 10 / 14, 2 / 3))


def test_nothing_to_compare() -> None:
    assert hierarchical_scores({}, {}) == (None, None, None)


def test_unknown_lineage_is_an_error() -> None:
    with pytest.raises(KeyError, match="Noctua"):
        hierarchical_scores({("L", "Noctua"): 1}, LINEAGES)


@QUICK
@given(
    st.dictionaries(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), st.integers(1, 9))
)
def test_recall_is_the_precision_of_the_reverse(pairs: dict[tuple[str, str], int]) -> None:
    found = hierarchical_scores(pairs, LINEAGES)
    back = hierarchical_scores({(b, a): n for (a, b), n in pairs.items()}, LINEAGES)
    assert (found.precision, found.recall) == (back.recall, back.precision)
    assert found.f == pytest.approx(back.f)
    if pairs:
        assert found.precision is not None
        assert 0 < found.precision <= 1
