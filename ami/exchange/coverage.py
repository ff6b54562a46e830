"""Which classes of each classifier a taxa list covers."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ami.base.words import counted
from ami.main.models import TaxaList, Taxon, TaxonRank
from ami.main.taxonomy import IMPORT_ALGORITHM
from ami.ml.models import Algorithm
from ami.ml.models.algorithm import AlgorithmTaskType
from ami.ml.post_processing.labels import LabelTaxa, listed_taxa, read_label_taxa


@dataclass(frozen=True)
class Coverage:
    """The classes of one classifier, by what class masking with the list would do.

    `covered` classes are kept, `outside` ones are masked, and `unresolved` ones stand for no taxon.
    `unknown` holds the species of the list for which the classifier has no class.
    """

    algorithm: str
    covered: list[str]
    outside: list[str]
    unresolved: list[str]
    unknown: list[str]

    def __str__(self) -> str:
        classes = len(self.covered) + len(self.outside) + len(self.unresolved)
        return (
            f"{self.algorithm}: the list covers {len(self.covered):,} of "
            f"{counted(classes, 'class', 'classes')}; "
            f"{counted(len(self.unresolved), 'class stands', 'classes stand')} for no taxon, and "
            f"{counted(len(self.unknown), 'species', 'species')} of the list "
            f"{'has' if len(self.unknown) == 1 else 'have'} no class."
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "algorithm": self.algorithm,
            "covered": self.covered,
            "outside": self.outside,
            "unresolved": self.unresolved,
            "unknown": self.unknown,
        }


def get_coverage(taxa_list: TaxaList) -> list[Coverage]:
    """Return the coverage of each classifier with a category map, by name and version."""
    taxa = dict(taxa_list.taxa.values_list("pk", "rank"))
    listed = listed_taxa(taxa)
    species = {pk for pk, rank in taxa.items() if rank == TaxonRank.SPECIES}
    classifiers = Algorithm.objects.filter(
        task_type=AlgorithmTaskType.CLASSIFICATION, category_map__isnull=False
    ).exclude(name=IMPORT_ALGORITHM)
    ordered = classifiers.select_related("category_map").order_by("name", "version")
    return [
        _coverage(str(one), read_label_taxa(one.category_map), listed, species)
        for one in ordered
        if one.category_map
    ]


def _coverage(
    algorithm: str, labels: LabelTaxa, listed: Collection[int], species: Collection[int]
) -> Coverage:
    kept = labels.within(listed)
    pairs = list(zip(labels.labels, labels.taxa, kept, strict=True))
    known = set(labels.taxa)
    accepted = listed_taxa(species) - set(species)
    return Coverage(
        algorithm,
        covered=[label for label, _, is_kept in pairs if is_kept],
        outside=[label for label, taxon, is_kept in pairs if taxon is not None and not is_kept],
        unresolved=labels.unresolved,
        unknown=_names(set(species) - known - accepted),
    )


def _names(taxon_ids: Collection[int]) -> list[str]:
    """Return the names of the accepted taxa among these."""
    rows = Taxon.objects.filter(pk__in=taxon_ids, synonym_of=None).order_by("name")
    return list(rows.values_list("name", flat=True))
