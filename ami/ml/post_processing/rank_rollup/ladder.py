"""The ranks of a rollup, and which taxon each classification gets at each of them.

This module does not use the database: it takes arrays of numbers and returns arrays.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ami.base.vectors import Vector
from ami.main.models import TaxonRank
from ami.ml.post_processing.deriving import Matrix
from ami.ml.post_processing.labels import LabelTaxa

# UNKNOWN is not part of the order of ranks, so it is tried last.
FINEST_FIRST = [*TaxonRank.values[-2::-1], TaxonRank.UNKNOWN.value]
DECIMALS = 12  # of a sum, so that the order of its terms has no effect


class Level(NamedTuple):
    """One rank over the classes of a category map.

    `taxa` are those of the rank, in the order of their first labels, and `columns` where their
    sums stand; `places` has, for each label, the place of its taxon in `taxa`, -1 for none.
    """

    rank: str
    taxa: NDArray[np.int64]
    columns: slice
    places: NDArray[np.intp]


class Ladder(NamedTuple):
    """The ranks to try, finest first, and which label counts for which of their taxa."""

    levels: Sequence[Level]
    membership: Any  # a sparse matrix: labels by taxa of all levels

    @classmethod
    def of(cls, labels: LabelTaxa, ranks: Collection[str]) -> "Ladder":
        levels: list[Level] = []
        width = 0
        for rank in FINEST_FIRST:
            if rank not in ranks:
                continue
            found = labels.at_rank(rank)
            taxa = list(dict.fromkeys(pk for pk in found if pk is not None))
            order = {pk: place for place, pk in enumerate(taxa)}
            places = np.array([-1 if pk is None else order[pk] for pk in found])
            columns = slice(width, width := width + len(taxa))
            levels.append(Level(rank, np.array(taxa, dtype=int), columns, places))
        return cls([level for level in levels if len(level.taxa)], _membership(levels, width))


def _membership(levels: Sequence[Level], width: int) -> Any:
    rows = [np.flatnonzero(level.places >= 0) for level in levels]
    columns = [
        level.columns.start + level.places[under] for level, under in zip(levels, rows, strict=True)
    ]
    # Import here: at module level, every process would take 0.1 s longer to start.
    from scipy.sparse import csr_array  # noqa: PLC0415

    labels, taxa = np.concatenate(rows), np.concatenate(columns)
    shape = (len(levels[0].places), width)
    return csr_array((np.ones(len(labels)), (labels, taxa)), shape=shape)


class Rungs(NamedTuple):
    """The best taxon at each rank of a ladder (all: classifications x ranks).

    `scores` are NaN where there is no taxon to consider. `unassigned` is the probability that
    counts for no taxon of the rank.
    """

    taxa: NDArray[np.int64]
    scores: Matrix
    unassigned: Matrix


class RolledUp(NamedTuple):
    """The result, with one row per classification.

    `taxa` is 0 where no taxon reaches its threshold, and `levels` is the index of the rank in the
    ladder, -1 where there is none.
    """

    taxa: NDArray[np.int64]
    scores: Vector
    levels: NDArray[np.intp]


def roll_up(shares: Matrix, ladder: Ladder, *, constrained: bool) -> Rungs:
    """The best taxon at each rank for each row of probabilities.

    The score of a taxon is the sum over all classes under it. If `constrained`, only the taxon and
    the ancestors of the most probable class are considered; on a tie, the first class counts.
    """
    everyone = np.arange(len(shares))
    top = shares.argmax(axis=1)
    mass = shares.sum(axis=1)
    sums = shares @ ladder.membership
    shape = (len(shares), len(ladder.levels))
    found = Rungs(np.zeros(shape, dtype=int), np.full(shape, np.nan), np.zeros(shape))
    for number, level in enumerate(ladder.levels):
        block = sums[:, level.columns]
        best = level.places[top] if constrained else np.round(block, DECIMALS).argmax(axis=1)
        score = np.round(np.minimum(block[everyone, best], 1), DECIMALS)
        found.taxa[:, number] = level.taxa[best]
        found.scores[best >= 0, number] = score[best >= 0]
        lost = np.maximum(mass - block.sum(axis=1), 0)
        found.unassigned[:, number] = np.round(lost, DECIMALS)
    return found


def choose(rungs: Rungs, thresholds: Sequence[float]) -> RolledUp:
    """Raise each row to the first rank whose best taxon reaches the threshold of the rank."""
    taxa = np.zeros(len(rungs.taxa), dtype=int)
    scores = np.zeros(len(rungs.taxa))
    levels = np.full(len(rungs.taxa), -1)
    for number, threshold in enumerate(thresholds):
        wins = (levels < 0) & (rungs.scores[:, number] >= threshold)  # false for NaN
        taxa[wins], scores[wins] = rungs.taxa[wins, number], rungs.scores[wins, number]
        levels[wins] = number
    return RolledUp(taxa, scores, levels)
