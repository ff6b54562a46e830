"""What a simple random sample tells of the share that is right."""

from bisect import bisect_left
from collections.abc import Hashable, Iterable
from math import ceil
from typing import NamedTuple, TypeVar

from ami.base.intervals import Z, wilson

Label = TypeVar("Label", bound=Hashable)

LEVEL = 0.95
TOO_FEW = 10  # below, a share says too little to be coloured as good


class Estimate(NamedTuple):
    """A share from 0 to 1, estimated from `n` judgements, with its 95 % interval of Wilson.

    `n_effective` is the size of the simple random sample that would tell as much.
    """

    share: float
    standard_error: float
    n: int
    n_effective: float
    low: float
    high: float

    @property
    def too_few(self) -> bool:
        """Whether fewer than 10 judgements support the share."""
        return self.n < TOO_FEW


def estimate(right: int, n: int) -> Estimate:
    """Estimate the share right from `right` of `n` judgements of a simple random sample.

    Raise ValueError unless 0 ≤ right ≤ n and n ≥ 1.
    """
    _check(right, n)
    share = right / n
    return with_variance(share, share * (1 - share) / n, n)


def estimates_by(groups: Iterable[Label], right: Iterable[bool]) -> dict[Label, Estimate]:
    """Estimate the share right in each group: a taxon, a band of scores, a run.

    With the taxon that each row was called, this is the precision by taxon. Both arguments have one
    entry per judgement; raise ValueError if their numbers differ.
    """
    counts: dict[Label, list[int]] = {}
    for group, is_right in zip(groups, right, strict=True):
        count = counts.setdefault(group, [0, 0])
        count[0] += bool(is_right)
        count[1] += 1
    return {group: estimate(hits, n) for group, (hits, n) in counts.items()}


def with_variance(share: float, variance: float, n: int) -> Estimate:
    """Estimate a share whose estimator has this variance.

    The interval of Wilson is that of p(1 - p) ÷ variance draws, or of `n` draws where this is
    undefined: a share of 0 or 1, or a variance of 0.
    """
    product = share * (1 - share)
    n_effective = product / variance if product > 0 and variance > 0 else float(n)
    return Estimate(share, variance**0.5, n, n_effective, *wilson(share, n_effective))


def clopper_pearson(right: int, n: int) -> tuple[float, float]:
    """Return the exact 95 % interval of Clopper and Pearson (1934) for the share right.

    Raise ValueError unless 0 ≤ right ≤ n and n ≥ 1.
    """
    _check(right, n)
    # Import here: at module level, every process would take 0.2 s longer to start.
    from scipy.special import betaincinv  # noqa: PLC0415

    tail = (1 - LEVEL) / 2
    low = float(betaincinv(right, n - right + 1, tail)) if right else 0.0
    high = float(betaincinv(right + 1, n - right, 1 - tail)) if right < n else 1.0
    return low, high


def no_error_bound(n: int) -> float:
    """Return the largest share wrong that `n` judgements without an error leave possible.

    This is the one-sided 95 % bound 1 - 0.05^(1/n). Raise ValueError if n < 1.
    """
    _check(n, n)
    return 1 - float((1 - LEVEL) ** (1 / n))


def no_error_words(n: int) -> str:
    """Say `no_error_bound` in words: "59 of 59 right: at most 5 % are wrong".

    The percentage is rounded up, to whole numbers from 1 % on. Raise ValueError if n < 1.
    """
    percent = 100 * no_error_bound(n)
    digits = 0 if percent >= 1 else 1 if percent >= 0.1 else 2
    rounded = ceil(percent * 10**digits) / 10**digits
    return f"{n:,} of {n:,} right: at most {rounded:g} % are wrong"


def sample_size(share: float, margin: float, population: int | None = None) -> int:
    """Return how many judgements estimate a share to ± `margin` with 95 % confidence.

    Without `population`, the number of rows to draw from, the population is infinite (Cochran
    1977). Raise ValueError unless `share` is from 0 to 1, `margin` between 0 and 1, and
    `population` at least 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, got {share}.")
    if not 0 < margin < 1:
        raise ValueError(f"margin must be between 0 and 1, got {margin}.")
    if population is not None and population < 1:
        raise ValueError(f"population must be at least 1, got {population}.")
    size = max(1, Z**2 * share * (1 - share) / margin**2)
    if population is not None:
        size = min(size / (1 + (size - 1) / population), population)
    return ceil(size)


def finite_interval(right: int, n: int, population: int) -> tuple[int, int]:
    """Return how many rows of the whole population are right: an exact 95 % interval.

    `right` of `n` rows, drawn from `population` without replacement, are right. The interval holds
    each total with which at least as many, and at most as many, right rows would both be drawn with
    a probability above 2.5 % (hypergeometric inversion). Raise ValueError unless
    0 ≤ right ≤ n ≤ population and n ≥ 1.
    """
    _check(right, n)
    if n > population:
        raise ValueError(f"n must be at most the population of {population}, got {n}.")
    # Import here: at module level, every process would take 1 s longer to start.
    from scipy.stats import hypergeom  # noqa: PLC0415

    tail = (1 - LEVEL) / 2
    totals = range(right, population - (n - right) + 1)
    # With more right rows in all, it is more probable to draw so many, and less to draw so few.
    low = bisect_left(
        totals, True, key=lambda total: hypergeom.sf(right - 1, population, total, n) > tail
    )
    above = bisect_left(
        totals, True, key=lambda total: hypergeom.cdf(right, population, total, n) <= tail
    )
    return totals[low], totals[above - 1]


def _check(right: int, n: int) -> None:
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    if not 0 <= right <= n:
        raise ValueError(f"right must be from 0 to {n}, got {right}.")
