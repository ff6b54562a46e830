"""Precision and recall that give part of the credit for part of the lineage."""

from collections.abc import Collection, Hashable, Mapping
from typing import NamedTuple, TypeVar

Taxon = TypeVar("Taxon", bound=Hashable)


class HierarchicalScores(NamedTuple):
    """Hierarchical precision, recall and their harmonic mean, from 0 to 1.

    One is None where nothing was predicted or known.
    """

    precision: float | None
    recall: float | None
    f: float | None


def hierarchical_scores(
    pairs: Mapping[tuple[Taxon, Taxon], int], lineages: Mapping[Taxon, Collection[Taxon]]
) -> HierarchicalScores:
    """Return the scores of Kiritchenko et al. (2006) over all rows.

    `pairs` counts the rows by (predicted taxon, true taxon), so it stays small however many rows
    there are. `lineages` has, for each of them, the taxon itself and its ancestors. Precision is
    Σ|P ∩ T| ÷ Σ|P| and recall Σ|P ∩ T| ÷ Σ|T|, where P and T are the lineages of the predicted and
    the true taxon. Raise KeyError if a lineage is missing.
    """
    sets = {taxon: frozenset(lineages[taxon]) for pair in pairs for taxon in pair}
    shared = predicted = known = 0
    for (one, other), rows in pairs.items():
        shared += rows * len(sets[one] & sets[other])
        predicted += rows * len(sets[one])
        known += rows * len(sets[other])
    return HierarchicalScores(
        _share(shared, predicted), _share(shared, known), _share(2 * shared, predicted + known)
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
