"""The threshold at which climbing a hierarchy gives names of a wanted accuracy."""

from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

NO_TAXON = -1
ROWS = 4096  # at a time
ROOT = 1.0  # no probability is above it


def row_thresholds(shares: NDArray[np.floating], paths: Integers, true_paths: Integers) -> Floats:
    """Return, for each row, the lowest threshold at which climbing ends on a true taxon.

    Climbing starts at the most probable class and ends at its first ancestor whose probability, the
    sum over all classes under it, is above the threshold. So the result is 0 if the class is right,
    and the probability of its last wrong ancestor otherwise (Goren et al. 2024).

    `shares` has probabilities (rows x classes). `paths` has the ids of each class and its ancestors
    (classes x levels), from fine to coarse, or -1 where there is no taxon at a level. `true_paths`
    (rows x levels) has those of the true taxon, which need not be a class. To calibrate from one
    rank on, leave out the columns of the finer ones. Raise ValueError if the shapes do not fit.
    """
    truth = np.asarray(true_paths)
    if truth.shape != (len(shares), paths.shape[1]):
        raise ValueError(
            f"true_paths must have the shape {(len(shares), paths.shape[1])}, got {truth.shape}."
        )
    found = np.zeros(len(shares))
    for rows, nodes, sums in _climbs(shares, paths):
        wrong = (nodes != truth[rows]) & (nodes != NO_TAXON)
        # The highest of the wrong ones is the last, because sums grow on the way up.
        found[rows] = np.where(wrong, sums, 0).max(axis=1, initial=0)
    return found


def threshold_for(thresholds: ArrayLike, accuracy: float) -> float:
    """Return the threshold at which a share `accuracy` of new rows climbs to a true taxon.

    `thresholds` are those of `row_thresholds` on n rows that are not used to report. The result is
    the ⌈(n + 1) accuracy⌉-th smallest (split conformal prediction), or 1, which is the root, if n
    is too small to promise so much. Raise ValueError unless `accuracy` is between 0 and 1.
    """
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy must be between 0 and 1, got {accuracy}.")
    values = np.sort(np.asarray(thresholds, dtype=np.float64))
    place = ceil(round((len(values) + 1) * accuracy, 9))  # 10 x 0.3 is 3, and not slightly more
    return float(values[place - 1]) if place <= len(values) else ROOT


def climb(
    shares: NDArray[np.floating], paths: Integers, threshold: float
) -> NDArray[np.integer[Any]]:
    """Return the taxon that each row climbs to, or -1 for the root.

    The arguments are those of `row_thresholds`.
    """
    found = np.full(len(shares), NO_TAXON, dtype=paths.dtype)
    for rows, nodes, sums in _climbs(shares, paths):
        stops = (sums > threshold) & (nodes != NO_TAXON)
        first = stops.argmax(axis=1)[:, None]
        taxa = np.take_along_axis(nodes, first, axis=1)[:, 0]
        found[rows] = np.where(stops.any(axis=1), taxa, NO_TAXON)
    return found


def _climbs(
    shares: NDArray[np.floating], paths: Integers
) -> Iterator[tuple[slice, Integers, Floats]]:
    """Yield slices of rows with the taxa from the most probable class up, and their probabilities.

    Both are rows x levels.
    """
    # Import here: at module level, every process would take 0.2 s longer to start.
    from scipy.sparse import csr_array  # noqa: PLC0415

    classes, levels = paths.shape
    if shares.ndim != 2 or shares.shape[1] != classes:
        raise ValueError(f"shares must have {classes} columns, got the shape {shares.shape}.")
    columns = np.empty((classes, levels), dtype=np.intp)
    width = 0
    for level in range(levels):
        taxa, places = np.unique(paths[:, level], return_inverse=True)
        columns[:, level] = places + width
        width += len(taxa)
    cells = (np.repeat(np.arange(classes), levels), columns.ravel())
    membership: Any = csr_array((np.ones(columns.size), cells), shape=(classes, width))
    for start in range(0, len(shares), ROWS):
        rows = slice(start, min(start + ROWS, len(shares)))
        top = shares[rows].argmax(axis=1)
        sums = np.take_along_axis(shares[rows] @ membership, columns[top], axis=1)
        yield rows, paths[top], sums
