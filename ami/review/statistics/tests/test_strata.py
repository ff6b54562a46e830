"""Stratified shares and confusion matrices, against published values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami.base.intervals import wilson
from ami.review.statistics.shares import estimate
from ami.review.statistics.strata import Stratum, stratified_confusion, stratified_share
from ami.review.statistics.tests.properties import QUICK

SIZES = (5000, 3000, 2000)

# Stehman (2014), table 2: ten judgements in each of four strata, which are not the classes.
STRATA = "1111111111222222222233333333334444444444"
CALLED = "AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD"
TRUE = "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB"
POPULATION = {"1": 40_000, "2": 30_000, "3": 20_000, "4": 10_000}


def three(*right: int) -> list[Stratum]:
    return [Stratum(size, 50, count) for size, count in zip(SIZES, right, strict=True)]


class TestShare:
    def test_strata_are_weighted_by_their_size(self) -> None:
        found = stratified_share(three(49, 44, 30))
        assert found.share == pytest.approx(0.874)
        assert found.standard_error == pytest.approx(0.02192594, abs=1e-8)
        assert found.n == 150
        assert found.n_effective == pytest.approx(229.07, abs=0.005)
        assert found[-2:] == pytest.approx((0.824769, 0.910894), abs=1e-6)

    def test_all_right_still_leaves_a_doubt(self) -> None:
        found = stratified_share(three(50, 50, 50))
        assert (found.share, found.standard_error, found.n_effective) == (1, 0, 150)
        assert found.low == pytest.approx(0.975030, abs=1e-6)

    def test_strata_all_right_or_all_wrong_count_as_their_draws(self) -> None:
        found = stratified_share(three(50, 0, 50))
        assert found[-2:] == wilson(0.7, 150)

    def test_full_count_has_no_doubt(self) -> None:
        found = stratified_share([Stratum(30, 30, 20), Stratum(10, 10, 10)])
        assert found == (0.75, 0, 40, 40, 0.75, 0.75)

    def test_single_judgement_has_the_largest_variance(self) -> None:
        found = stratified_share([Stratum(100, 1, 1), Stratum(100, 51, 51)])
        assert found.standard_error == pytest.approx((0.25 * 0.99 * 0.25) ** 0.5)

    def test_empty_stratum_does_not_count(self) -> None:
        assert stratified_share([*three(49, 44, 30), Stratum(0, 0, 0)]) == stratified_share(
            three(49, 44, 30)
        )

    @pytest.mark.parametrize(
        ("strata", "message"),
        [
            ([], "strata must have at least one row."),
            ([Stratum(9, 0, 0)], "Each stratum needs at least one judgement"),
            ([Stratum(9, 10, 0)], "must not be larger than the stratum"),
            ([Stratum(9, 5, 6)], "right must be from 0 to n"),
        ],
    )
    def test_impossible_strata_are_refused(self, strata: list[Stratum], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            stratified_share(strata)


@st.composite
def samples(draw: st.DrawFn) -> list[Stratum]:
    def stratum() -> Stratum:
        n = draw(st.integers(1, 40))
        return Stratum(n + draw(st.integers(0, 500)), n, draw(st.integers(0, n)))

    return [stratum() for _ in range(draw(st.integers(1, 5)))]


@QUICK
@given(samples())
def test_interval_contains_the_share_of_the_strata(strata: list[Stratum]) -> None:
    found = stratified_share(strata)
    shares = [stratum.right / stratum.n for stratum in strata]
    assert min(shares) - 1e-9 <= found.share <= max(shares) + 1e-9
    assert 0 <= found.low <= found.share + 1e-12
    assert found.share - 1e-12 <= found.high <= 1


def test_one_large_stratum_is_a_simple_sample() -> None:
    found = stratified_share([Stratum(10**9, 101, 90)])
    assert found.share == 90 / 101
    assert found[-2:] == pytest.approx(estimate(90, 101)[-2:], abs=1e-3)


class TestConfusion:
    def test_published_accuracies(self) -> None:
        # The published standard errors are those of infinite strata of these proportions.
        infinite = {label: size * 10**9 for label, size in POPULATION.items()}
        found = stratified_confusion(STRATA, CALLED, TRUE, sizes=infinite)
        users = {"A": (0.7419355, 0.1645627), "B": (0.5744681, 0.1248023), "C": (0.5, 0.2151657)}
        producers = {
            "A": (0.6571429, 0.1477318),
            "B": (0.7941176, 0.1165671),
            "C": (0.3, 0.1504438),
        }
        for label in "ABC":
            for expected, side in ((users, found.users), (producers, found.producers)):
                estimated = side[label]
                assert estimated is not None
                assert estimated[:2] == pytest.approx(expected[label], abs=1e-7)
        assert found.overall.share == pytest.approx(0.63, abs=1e-12)
        assert found.overall.standard_error == pytest.approx(0.085, abs=5e-4)

    def test_drawing_half_of_each_stratum_halves_the_variance(self) -> None:
        few, many = (
            stratified_confusion(STRATA, CALLED, TRUE, sizes=dict.fromkeys("1234", size))
            for size in (20, 10**12)
        )
        for small, large in ((few.users, many.users), (few.producers, many.producers)):
            for label in "ABC":
                one, other = small[label], large[label]
                assert one is not None
                assert other is not None
                assert one.standard_error**2 == pytest.approx(other.standard_error**2 / 2)

    def test_cells_are_shares_of_the_population(self) -> None:
        found = stratified_confusion(STRATA, CALLED, TRUE, sizes=POPULATION)
        assert set(found.classes) == set("ABCD")
        assert found.cells.sum() == pytest.approx(1)
        assert np.trace(found.cells) == pytest.approx(found.overall.share)
        called_a = found.classes.index("A")
        assert found.cells[called_a].sum() == pytest.approx(0.4 * 0.7 + 0.3 * 0.1)
        assert found.cells[:, called_a].sum() == pytest.approx(0.35)

    def test_class_without_rows_has_no_accuracy(self) -> None:
        found = stratified_confusion("11", "AA", "AB", sizes={"1": 10})
        assert found.users["B"] is None
        assert found.producers["B"] is not None
        assert found.producers["B"].share == 0
        assert found.users["A"] is not None
        assert found.users["A"].too_few

    def test_labels_may_be_ids(self) -> None:
        found = stratified_confusion([0, 0, 1], [7, 7, 9], [7, 9, 9], sizes={0: 20, 1: 80, 2: 0})
        assert found.classes == (7, 9)
        assert found.overall.share == pytest.approx(0.9)

    @pytest.mark.parametrize(
        ("strata", "sizes", "message"),
        [
            ("1", {"1": 5}, "one entry per judgement, got 1, 2 and 2"),
            ("12", {"1": 5}, "missing: 2"),
            ("11", {"1": 5, "2": 5}, "at least one judgement"),
            ("11", {"1": 1}, "must not be larger"),
        ],
    )
    def test_impossible_samples_are_refused(
        self, strata: str, sizes: dict[str, int], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            stratified_confusion(strata, "AA", "AB", sizes=sizes)


@QUICK
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ABC"), st.sampled_from("ABC"))))
def test_accuracies_are_shares(rows: list[tuple[int, str, str]]) -> None:
    rows += [(stratum, "A", "A") for stratum in range(4)]
    strata, called, true = zip(*rows, strict=True)
    sizes = {number: 50 * (number + 1) + len(rows) for number in range(4)}
    found = stratified_confusion(strata, called, true, sizes=sizes)
    for side in (found.users, found.producers):
        for estimated in filter(None, side.values()):
            assert -1e-12 <= estimated.share <= 1 + 1e-12
            assert estimated.low - 1e-9 <= estimated.share <= estimated.high + 1e-9
