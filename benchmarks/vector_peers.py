"""Simple implementations of masking and rollup: one object per row, lists to NumPy, `save()`.

They do not handle broken rows, synonyms, other names and a second run.
"""

import numpy as np
from django.db.models import QuerySet

from ami.jobs.models import Job
from ami.main.models import Classification, Occurrence, TaxaList, Taxon, TaxonRank
from ami.ml.models import Algorithm
from ami.ml.post_processing.base import get_author
from ami.ml.post_processing.class_masking.task import derived_algorithm
from ami.ml.post_processing.rank_rollup import RankRollupTask

BATCH = 200
THRESHOLDS = {TaxonRank.SPECIES: 0.8, TaxonRank.GENUS: 0.6, TaxonRank.FAMILY: 0.4}


class Writer:
    """Collects rows and writes them 200 at a time."""

    def __init__(self) -> None:
        self.sources: list[Classification] = []
        self.results: list[Classification] = []
        self.occurrences: set[Occurrence] = set()

    def add(self, source: Classification, result: Classification) -> None:
        source.terminal = False
        self.sources.append(source)
        self.results.append(result)
        if source.detection.occurrence is not None:
            self.occurrences.add(source.detection.occurrence)
        if len(self.results) >= BATCH:
            self.flush()

    def flush(self) -> None:
        Classification.objects.bulk_update(self.sources, ["terminal"])
        Classification.objects.bulk_create(self.results)
        self.sources, self.results = [], []

    def finish(self) -> None:
        self.flush()
        for occurrence in self.occurrences:
            occurrence.save()


def _sources() -> QuerySet[Classification]:
    return Classification.objects.filter(terminal=True, logits__isnull=False)


def mask_row_by_row(job: Job) -> None:
    """Keep the classes whose taxon is on the list."""
    taxa_list, classifier = TaxaList.objects.get(), Algorithm.objects.earliest("pk")
    author = derived_algorithm(classifier, taxa_list, reweight=True)
    assert classifier.category_map
    taxa = [Taxon.objects.get(name=label) for label in classifier.category_map.labels]
    listed = set(taxa_list.taxa.values_list("pk", flat=True))
    kept = np.array([taxon.pk in listed for taxon in taxa])
    writer = Writer()
    for source in _sources().iterator():
        logits = np.array(source.logits)
        masked = np.where(kept, logits, -np.inf)
        powers = np.exp(masked - masked.max())
        scores = powers / powers.sum()
        best = int(scores.argmax())
        writer.add(
            source,
            Classification(
                detection=source.detection,
                taxon=taxa[best],
                score=scores[best],
                scores=scores.tolist(),
                logits=source.logits,
                algorithm=author,
                category_map=source.category_map,
                applied_to=source,
                job=job,
            ),
        )
    writer.finish()


def roll_up_row_by_row(job: Job) -> None:
    """Sum the scores under each ancestor of the best class, rank by rank."""
    classifier = Algorithm.objects.earliest("pk")
    author = get_author(RankRollupTask.key, name=RankRollupTask.name)
    assert classifier.category_map
    names = classifier.category_map.labels
    taxa = [Taxon.objects.select_related("parent__parent").get(name=name) for name in names]
    lineages = [_lineage(taxon) for taxon in taxa]
    writer = Writer()
    for source in _sources().iterator():
        scores = np.array(source.scores)
        above = lineages[int(scores.argmax())]
        for rank, threshold in THRESHOLDS.items():
            taxon = above[rank]
            under = [line[rank].pk == taxon.pk for line in lineages]
            score = float(scores[under].sum())
            if score >= threshold:
                break
        else:
            continue
        if taxon.pk == source.taxon_id:
            continue
        result = Classification(
            detection=source.detection,
            taxon=taxon,
            score=min(score, 1),
            algorithm=author,
            applied_to=source,
            job=job,
        )
        writer.add(source, result)
    writer.finish()


def _lineage(species: Taxon) -> dict[str, Taxon]:
    genus = species.parent
    assert genus
    assert genus.parent
    return {
        TaxonRank.SPECIES: species,
        TaxonRank.GENUS: genus,
        TaxonRank.FAMILY: genus.parent,
    }
