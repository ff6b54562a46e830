"""Classifications with vectors, for the tests of masking and rollup."""

from typing import Any

from ami.base.tests.factories import (
    make_algorithm,
    make_capture_set,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.main.models import Classification, SourceImageCollection, TaxaList, Taxon, TaxonRank
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.tests.methods import told


def make_map(*labels: str | dict[str, Any]) -> AlgorithmCategoryMap:
    entries = [{"label": one} if isinstance(one, str) else one for one in labels]
    return AlgorithmCategoryMap.objects.create(
        data=[{"index": index, **entry} for index, entry in enumerate(entries)]
    )


def make_classifier(*labels: str | dict[str, Any], **fields: Any) -> Algorithm:
    """A classifier of these labels, none of which has a taxon."""
    return make_algorithm(category_map=make_map(*labels), **fields)


def make_species(*names: str, parent: Taxon | None = None) -> list[Taxon]:
    return [make_taxon(name=name, parent=parent) for name in names]


def make_list(*taxa: Taxon, **fields: Any) -> TaxaList:
    taxa_list = TaxaList.objects.create(**{"name": "List"} | fields)
    taxa_list.taxa.set(taxa)
    return taxa_list


def make_source(algorithm: Algorithm | None, **fields: Any) -> Classification:
    """A classification of a detection with a separate occurrence."""
    if "detection" not in fields:
        fields["detection"] = make_detection(occurrence=make_occurrence())
    return make_classification(algorithm=algorithm, **{"score": 0.5} | fields)


def everything() -> SourceImageCollection:
    """A capture set with all captures."""
    captures = [row.detection.source_image for row in Classification.objects.order_by("pk")]
    capture_set = make_capture_set(captures[:1])
    capture_set.images.set(captures)
    return capture_set


def run(task_cls: type[BasePostProcessingTask], **options: Any) -> dict[str, int]:
    """The figures of a run without a Job, except those that are 0."""
    if "occurrence_id" not in options:
        options.setdefault("source_image_collection_id", everything().pk)
    task = task_cls(**options)
    task.run()
    return told(task)


def make_ranks(*names: str) -> list[Taxon]:
    """A family with a genus with species, each named after its position."""
    family = make_taxon(name=names[0], rank=TaxonRank.FAMILY)
    genus = make_taxon(name=names[1], rank=TaxonRank.GENUS, parent=family)
    return [family, genus, *make_species(*names[2:], parent=genus)]
