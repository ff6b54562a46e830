"""The taxa that the labels of a category map stand for, with their ancestors."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ami.main.taxonomy import Links, Taxonomy
from ami.ml.models import AlgorithmCategoryMap
from ami.ml.models.labels import resolve_labels


@dataclass(frozen=True, eq=False)
class LabelTaxa:
    """The labels of a category map, in the order of its scores, and their taxa.

    `taxa` holds one id per label, None for a label that stands for no taxon.
    """

    labels: Sequence[str]
    taxa: Sequence[int | None]
    taxonomy: Taxonomy

    @property
    def unresolved(self) -> list[str]:
        """The labels that stand for no taxon; a blank one is quoted."""
        pairs = zip(self.labels, self.taxa, strict=True)
        return [
            label if label and label.strip() else repr(label)
            for label, taxon in pairs
            if taxon is None
        ]

    @cached_property
    def lineages(self) -> list[list[int]]:
        """For each label, its taxon and that taxon's ancestors, nearest first."""
        return [[] if taxon is None else self.taxonomy.lineage(taxon) for taxon in self.taxa]

    def within(self, taxon_ids: Collection[int]) -> NDArray[np.bool_]:
        """Whether each label's taxon, or an ancestor of it, is one of `taxon_ids`."""
        return np.array([any(pk in taxon_ids for pk in line) for line in self.lineages], dtype=bool)

    def at_rank(self, rank: str) -> list[int | None]:
        """For each label, the nearest taxon of that rank that it stands for or lies under."""
        return [
            next((pk for pk in line if self.taxonomy[pk].rank == rank), None)
            for line in self.lineages
        ]

    def stored(self) -> dict[str, Any]:
        """This object as JSON, for :meth:`restored`."""
        above = {pk for line in self.lineages for pk in line}
        links = [[pk, self.taxonomy[pk].rank, self.taxonomy[pk].parent] for pk in sorted(above)]
        return {"labels": list(self.labels), "taxa": list(self.taxa), "taxonomy": links}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "LabelTaxa":
        links = {pk: Links(rank, parent, None) for pk, rank, parent in stored["taxonomy"]}
        return cls(stored["labels"], stored["taxa"], Taxonomy(links))


def read_label_taxa(category_map: AlgorithmCategoryMap) -> LabelTaxa:
    """Resolve every label, as :func:`ami.ml.models.labels.resolve_labels` does."""
    return LabelTaxa(category_map.labels, *resolve_labels(category_map))


def listed_taxa(taxon_ids: Collection[int]) -> frozenset[int]:
    """These taxa, and the accepted taxa of the synonyms among them."""
    taxonomy = Taxonomy.above(taxon_ids)
    return frozenset(taxon_ids) | {taxonomy.accepted(pk) for pk in taxon_ids}
