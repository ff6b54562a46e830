"""Taxa, the regional list, and the algorithms of the demo project."""

import numpy as np

from ami.exchange.name_lists.base import ListedName
from ami.exchange.taxa import import_taxa
from ami.main.management.demo.species import ORDER, Species, load_species
from ami.main.models import Project, TaxaList, Taxon, TaxonRank
from ami.ml.models import Algorithm, AlgorithmCategoryMap, AlgorithmTaskType

REGIONAL_LIST = "Demo regional list"
SHARE_OFF_LIST = 0.2
DETECTOR = "Demo moth detector"
CLASSIFIER = "Demo moth classifier"


def ensure_taxa(project: Project, *, seed: int) -> dict[str, int]:
    """Return the taxon id of each species; the regional list lacks a fifth of them."""
    rows = [_row(line, species) for line, species in enumerate(load_species(), start=2)]
    rng = np.random.default_rng([seed, 3])
    lacking = set(rng.choice(len(rows), round(len(rows) * SHARE_OFF_LIST), replace=False).tolist())
    import_taxa(
        (row for index, row in enumerate(rows) if index not in lacking), list_name=REGIONAL_LIST
    )
    import_taxa((rows[index] for index in sorted(lacking)), list_name=None)
    taxa = _taxa_of(rows)
    TaxaList.objects.get(name=REGIONAL_LIST).projects.add(project)
    project.taxa.add(*taxa.values())
    return {row.name: taxa[row.name] for row in rows}


def _row(line: int, species: Species) -> ListedName:
    return ListedName(
        place=f"line {line}",
        name=species.name,
        rank=TaxonRank.SPECIES,
        key=species.gbif_key,
        above=(
            (TaxonRank.ORDER, ORDER),
            (TaxonRank.FAMILY, species.family),
            (TaxonRank.GENUS, species.genus),
        ),
    )


def _taxa_of(rows: list[ListedName]) -> dict[str, int]:
    names = {name for row in rows for name in (row.name, *(name for _, name in row.above))}
    return dict(Taxon.objects.filter(name__in=names).values_list("name", "pk"))


def ensure_detector() -> Algorithm:
    return Algorithm.objects.get_or_create(
        name=DETECTOR, version=1, defaults={"task_type": AlgorithmTaskType.DETECTION}
    )[0]


def ensure_classifier() -> Algorithm:
    """The classifier, its category map in the order of `load_species()`."""
    algorithm = Algorithm.objects.get_or_create(
        name=CLASSIFIER, version=1, defaults={"task_type": AlgorithmTaskType.CLASSIFICATION}
    )[0]
    if algorithm.category_map is None:
        algorithm.category_map = AlgorithmCategoryMap.objects.create(
            data=[
                {
                    "index": index,
                    "label": species.name,
                    "gbif_key": species.gbif_key,
                    "taxon_rank": TaxonRank.SPECIES,
                }
                for index, species in enumerate(load_species())
            ],
            description=CLASSIFIER,
        )
        algorithm.save()
    return algorithm
