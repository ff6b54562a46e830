"""Whether a name is right: what people say against what classifications say."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ami.main.taxonomy import Taxonomy

NONE = 0  # the id of no taxon


class Outcome(IntEnum):
    """How a name compares with what a person says."""

    EXACT = 0
    ANCESTOR = 1
    WRONG = 2
    NO_NAME = 3

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").lower()


class Judge:
    """Compares names with what people say, along the lineages of their accepted taxa.

    A person who identified to a genus says nothing about the species: a species of that genus is
    compared at the rank of the genus, and is exact there. A name that is an ancestor of what the
    person says is right, but coarser. No name, or one that stands for no species, is an abstention.
    """

    def __init__(self, taxon_ids: Iterable[int]) -> None:
        self.taxonomy = Taxonomy.above({int(pk) for pk in taxon_ids} - {NONE})
        self._lineages: dict[int, list[int]] = {}

    def lineage(self, taxon_id: int) -> list[int]:
        """The accepted taxon and its ancestors, nearest first; empty for no taxon."""
        if taxon_id not in self._lineages:
            known = taxon_id in self.taxonomy
            found = self.taxonomy.lineage(self.taxonomy.accepted(taxon_id)) if known else []
            self._lineages[taxon_id] = found
        return self._lineages[taxon_id]

    def compared(self, name: int, truth: int) -> int:
        """The name as it is compared: at the rank of the truth if it is finer."""
        lineage, said = self.lineage(name), self.lineage(truth)
        return said[0] if said and said[0] in lineage else (lineage[0] if lineage else NONE)

    def outcome(self, name: int, truth: int) -> Outcome:
        """Compare one name with the truth."""
        compared = self.compared(name, truth)
        if compared == NONE:
            return Outcome.NO_NAME
        said = self.lineage(truth)
        if said and compared == said[0]:
            return Outcome.EXACT
        return Outcome.ANCESTOR if compared in said else Outcome.WRONG

    def outcomes(self, pairs: "Pairs") -> NDArray[np.int8]:
        """Compare the name and the truth of each row; each distinct pair once."""
        found = [self.outcome(name, truth) for name, truth in pairs.distinct]
        return np.array(found, dtype=np.int8)[pairs.places]


class Pairs(NamedTuple):
    """The distinct pairs of name and truth of n rows: `places` (n) is that of each row's pair, and
    `numbers` has the rows of each pair."""

    distinct: list[tuple[int, int]]
    places: NDArray[np.intp]
    numbers: list[int]

    @classmethod
    def of(cls, names: NDArray[np.int64], truths: NDArray[np.int64]) -> "Pairs":
        known, name = np.unique(names, return_inverse=True)
        said, truth = np.unique(truths, return_inverse=True)
        keys, places, numbers = np.unique(
            name * len(said) + truth, return_inverse=True, return_counts=True
        )
        of_name, of_truth = np.divmod(keys, max(1, len(said)))
        distinct = zip(known[of_name].tolist(), said[of_truth].tolist(), strict=True)
        return cls(list(distinct), places, numbers.tolist())

    def items(self) -> Iterator[tuple[int, int, int]]:
        """Each distinct pair with its number of rows."""
        for (name, truth), number in zip(self.distinct, self.numbers, strict=True):
            yield name, truth, number
