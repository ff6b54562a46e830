"""What a stratified random sample tells: shares and a confusion matrix that weight the strata.

Equal numbers of rows drawn from unequal strata do not represent them, so each stratum counts by its
size in the population.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ami.review.statistics.shares import Estimate, with_variance

# The variance of one yes or no is at most this.
LARGEST_VARIANCE = 0.25

Label = TypeVar("Label", bound=Hashable)
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Stratum(NamedTuple):
    """Some rows of the population, of which `n` were drawn and judged, and `right` are right."""

    size: int
    n: int
    right: int


def stratified_share(strata: Sequence[Stratum]) -> Estimate:
    """Estimate the share right of the whole population (Cochran 1977, chapter 5).

    The share is Σ W p and its variance Σ W² (1 - n ÷ N) p (1 - p) ÷ (n - 1), where W is the share
    of a stratum in the population. A single judgement shows no variance, so the largest possible
    one is used. If all rows are judged, the interval is the share itself. Strata of size 0 are
    ignored.

    Raise ValueError if there is no stratum with rows, or if such a stratum has no judgement, more
    judgements than rows, or more right than judgements.
    """
    strata = [stratum for stratum in strata if stratum.size]
    sizes, drawn, right = np.array(strata, dtype=np.int64).reshape(-1, 3).T
    _check(sizes, drawn)
    if (right < 0).any() or (right > drawn).any():
        raise ValueError("right must be from 0 to n in each stratum.")
    shares = right / drawn
    weights = sizes / sizes.sum()
    products = np.where(
        drawn > 1, shares * (1 - shares) / np.maximum(drawn - 1, 1), LARGEST_VARIANCE
    )
    share = float(weights @ shares)
    variance = float((weights**2 * (1 - drawn / sizes)) @ products)
    n = int(drawn.sum())
    if n == sizes.sum():
        return Estimate(share, 0, n, n, share, share)
    return with_variance(share, variance, n)


class Confusion(NamedTuple, Generic[Label]):
    """The confusion matrix of a population.

    `cells` (called x true) has estimated shares of the population, in the order of `classes`.
    `overall` is the share right. `users` is, for each class, the share right of the rows called so
    (precision); `producers` is the share called so of the rows that are so (recall). Their `n`
    counts the judgements that were called so, or are so. None means that there are none.
    """

    classes: tuple[Label, ...]
    cells: Floats
    overall: Estimate
    users: Mapping[Label, Estimate | None]
    producers: Mapping[Label, Estimate | None]


def stratified_confusion(
    strata: Sequence[Hashable],
    called: Sequence[Label],
    true: Sequence[Label],
    *,
    sizes: Mapping[Any, int],
) -> Confusion[Label]:
    """Estimate the confusion matrix from one stratum, name and true name per judgement.

    `sizes` is the number of rows of the population in each stratum. Strata need not be classes. The
    estimators are those of Stehman (2014): user's and producer's accuracy are ratios of two totals.
    Raise ValueError if the three sequences differ in length, a stratum has no size or is smaller
    than its sample, or a stratum with rows has no judgement.
    """
    if not len(strata) == len(called) == len(true):
        raise ValueError(
            "strata, called and true must have one entry per judgement, "
            f"got {len(strata)}, {len(called)} and {len(true)}."
        )
    if unknown := [str(label) for label in dict.fromkeys(strata) if not sizes.get(label)]:
        raise ValueError(f"sizes must have the size of each stratum; missing: {unknown[0]}.")
    sized = {label: size for label, size in sizes.items() if size}
    rows = _numbers(strata, sized)
    classes = tuple(dict.fromkeys([*called, *true]))
    columns, truths = _numbers(called, classes), _numbers(true, classes)
    shape = (len(sized), len(classes))
    design = _Design.of(np.array(list(sized.values())), rows)
    right = columns == truths
    hits = _tally(rows[right], columns[right], shape)
    as_called, as_true = _tally(rows, columns, shape), _tally(rows, truths, shape)
    cells = np.zeros((len(classes), len(classes)))
    np.add.at(cells, (columns, truths), design.weights[rows] / design.drawn[rows])
    return Confusion(
        classes,
        cells,
        stratified_share(
            [
                Stratum(*numbers)
                for numbers in zip(
                    design.sizes.tolist(),
                    design.drawn.tolist(),
                    hits.sum(axis=1).tolist(),
                    strict=True,
                )
            ]
        ),
        dict(zip(classes, design.ratios(hits, as_called), strict=True)),
        dict(zip(classes, design.ratios(hits, as_true), strict=True)),
    )


class _Design(NamedTuple):
    """The size of each stratum in the population and in the sample, and its share of the former."""

    sizes: Counts
    drawn: Counts
    weights: Floats

    @classmethod
    def of(cls, sizes: Counts, rows: NDArray[np.intp]) -> "_Design":
        drawn = np.bincount(rows, minlength=len(sizes))
        _check(sizes, drawn)
        return cls(sizes, drawn, sizes / sizes.sum())

    def ratios(self, hits: Counts, members: Counts) -> list[Estimate | None]:
        """Estimate hits ÷ members for each class from counts (strata x classes)."""
        drawn = self.drawn[:, None]
        totals = self.weights @ (members / drawn)
        shares = self.weights @ (hits / drawn) / np.where(totals > 0, totals, 1)
        # The residual hit - share * member is 1 - share for a hit, -share for another member, and
        # 0 for all other rows of the stratum.
        sums = hits - shares * members
        squares = hits * (1 - shares) ** 2 + (members - hits) * shares**2
        variances = np.where(
            drawn > 1, (squares - sums**2 / drawn) / np.maximum(drawn - 1, 1), LARGEST_VARIANCE
        )
        factors = self.weights**2 * (1 - self.drawn / self.sizes) / self.drawn
        variance = np.maximum(factors @ variances, 0) / np.where(totals > 0, totals, 1) ** 2
        counted = members.sum(axis=0)
        return [
            with_variance(float(share), float(spread), int(n)) if n else None
            for share, spread, n in zip(shares, variance, counted, strict=True)
        ]


def _check(sizes: Counts, drawn: Counts) -> None:
    if not len(sizes):
        raise ValueError("strata must have at least one row.")
    if (drawn < 1).any():
        raise ValueError("Each stratum needs at least one judgement to represent its rows.")
    if (drawn > sizes).any():
        raise ValueError("The sample of a stratum must not be larger than the stratum.")


def _numbers(labels: Sequence[Hashable], known: Any) -> NDArray[np.intp]:
    place = {label: number for number, label in enumerate(known)}
    return np.fromiter((place[label] for label in labels), dtype=np.intp, count=len(labels))


def _tally(rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]) -> Counts:
    flat = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1])
    return flat.reshape(shape)
