"""Intervals and sizes of simple random samples, against values that SciPy computed."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ami.base.intervals import wilson
from ami.review.statistics.shares import (
    clopper_pearson,
    estimate,
    estimates_by,
    finite_interval,
    no_error_bound,
    no_error_words,
    sample_size,
    with_variance,
)
from ami.review.statistics.tests.properties import QUICK

INTERVALS = [
    (0, 10, (0, 0.277533), (0, 0.308497)),
    (1, 10, (0.017876, 0.404150), (0.002529, 0.445016)),
    (9, 10, (0.595850, 0.982124), (0.554984, 0.997471)),
    (50, 100, (0.403832, 0.596168), (0.398321, 0.601679)),
    (95, 100, (0.888250, 0.978456), (0.887165, 0.983568)),
    (81, 263, (0.255289, 0.366210), (0.252737, 0.367622)),
]


@st.composite
def counts(draw: st.DrawFn, highest: int = 400) -> tuple[int, int]:
    n = draw(st.integers(1, highest))
    return draw(st.integers(0, n)), n


@pytest.mark.parametrize(("right", "n", "by_wilson", "exact"), INTERVALS)
def test_intervals_of_a_share(
    right: int, n: int, by_wilson: tuple[float, float], exact: tuple[float, float]
) -> None:
    assert wilson(right / n, n) == pytest.approx(by_wilson, abs=1e-6)
    assert estimate(right, n)[-2:] == wilson(right / n, n)
    assert clopper_pearson(right, n) == pytest.approx(exact, abs=1e-6)


@QUICK
@given(counts())
def test_intervals_contain_the_share_and_mirror_each_other(sample: tuple[int, int]) -> None:
    right, n = sample
    for interval in (clopper_pearson(right, n), wilson(right / n, n)):
        assert interval[0] - 1e-12 <= right / n <= interval[1] + 1e-12
        assert 0 <= interval[0] < interval[1] <= 1
    low, high = clopper_pearson(n - right, n)
    assert clopper_pearson(right, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@QUICK
@given(counts())
def test_one_more_right_raises_both_ends(sample: tuple[int, int]) -> None:
    right, n = sample
    assume(right < n)
    for before, after in zip(clopper_pearson(right, n), clopper_pearson(right + 1, n), strict=True):
        assert before < after


def test_estimate_tells_its_standard_error_and_whether_it_rests_on_too_few() -> None:
    some = estimate(8, 10)
    assert some[:4] == pytest.approx((0.8, 0.126491, 10, 10), abs=1e-6)
    assert not some.too_few
    assert estimate(9, 9).too_few


def test_precision_by_taxon_says_how_many_were_checked() -> None:
    found = estimates_by("a" * 12 + "b" * 3, [*[True] * 9, False, False, False, True, True, True])
    assert found == {"a": estimate(9, 12), "b": estimate(3, 3)}
    assert [taxon for taxon, share in found.items() if share.too_few] == ["b"]


@pytest.mark.parametrize("share", [0.0, 1.0, 0.5])
def test_share_without_variance_counts_as_its_draws(share: float) -> None:
    assert with_variance(share, 0, 150)[2:] == (150, 150, *wilson(share, 150))


@pytest.mark.parametrize(
    ("n", "bound"), [(10, 0.2589), (30, 0.0950), (59, 0.0495), (100, 0.0295), (299, 0.0100)]
)
def test_bound_without_an_error(n: int, bound: float) -> None:
    assert no_error_bound(n) == pytest.approx(bound, abs=5e-5)


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (59, "59 of 59 right: at most 5 % are wrong"),
        (30, "30 of 30 right: at most 10 % are wrong"),
        (40, "40 of 40 right: at most 8 % are wrong"),
        (299, "299 of 299 right: at most 1 % are wrong"),
        (1_000, "1,000 of 1,000 right: at most 0.3 % are wrong"),
        (10_000, "10,000 of 10,000 right: at most 0.03 % are wrong"),
    ],
)
def test_words_round_the_bound_up(n: int, words: str) -> None:
    assert no_error_words(n) == words


@pytest.mark.parametrize(
    ("share", "population", "size"),
    [
        (0.9, None, 139),
        (0.9, 200, 83),
        (0.9, 1_000, 122),
        (0.9, 10_000, 137),
        (0.95, None, 73),
        (0.5, None, 385),
        (0.5, 3, 3),
        (1.0, 50, 1),
    ],
)
def test_size_for_five_percent(share: float, population: int | None, size: int) -> None:
    assert sample_size(share, 0.05, population) == size


@QUICK
@given(st.floats(0, 1), st.floats(0.001, 0.5), st.integers(1, 10**7))
def test_sample_is_no_larger_than_the_population(
    share: float, margin: float, population: int
) -> None:
    size = sample_size(share, margin, population)
    assert 1 <= size <= min(population, sample_size(share, margin))
    assert size <= sample_size(share, margin, population + 1)


def test_total_of_a_finite_population() -> None:
    assert finite_interval(95, 100, 200) == (181, 195)
    assert finite_interval(95, 100, 1_000) == (891, 982)


def test_whole_population_is_known_exactly() -> None:
    assert finite_interval(37, 50, 50) == (37, 37)


def test_large_population_approaches_clopper_pearson() -> None:
    low, high = finite_interval(450, 500, 1_300_000)
    assert (low / 1_300_000, high / 1_300_000) == pytest.approx(clopper_pearson(450, 500), abs=1e-4)


@QUICK
@given(counts(60), st.integers(0, 500))
def test_total_lies_between_what_was_seen_right_and_not_wrong(
    sample: tuple[int, int], others: int
) -> None:
    right, n = sample
    population = n + others
    low, high = finite_interval(right, n, population)
    assert right <= low <= high <= population - (n - right)
    assert low <= right / n * population <= high
    mirrored = finite_interval(n - right, n, population)
    assert mirrored == (population - high, population - low)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: estimate(0, 0), "n must be at least 1, got 0."),
        (lambda: clopper_pearson(11, 10), "right must be from 0 to 10, got 11."),
        (lambda: no_error_words(0), "n must be at least 1, got 0."),
        (lambda: sample_size(1.2, 0.05), "share must be from 0 to 1, got 1.2."),
        (lambda: sample_size(0.9, 0), "margin must be between 0 and 1, got 0."),
        (lambda: sample_size(0.9, 0.05, 0), "population must be at least 1, got 0."),
        (lambda: finite_interval(5, 10, 9), "n must be at most the population of 9, got 10."),
    ],
)
def test_impossible_numbers_are_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()
