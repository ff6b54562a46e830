"""The independent answers of people, and the best classification that one algorithm has for each.

Vectors are read some rows at a time and kept in a temporary file, so memory does not grow.
"""

from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
from django.db.models import F
from numpy.typing import NDArray

from ami.main.models import Classification, Identification, Project, TaxonRank
from ami.main.models.identification import INDEPENDENT
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.ml.post_processing.deriving import read_matrix, softmax, split
from ami.ml.post_processing.labels import LabelTaxa, read_label_taxa
from ami.review.effect.outcomes import Judge, Outcome

# The ranks with a threshold, fine to coarse.
RANKS = (TaxonRank.SPECIES.value, TaxonRank.GENUS.value, TaxonRank.FAMILY.value)
NO_TAXON = -1
NO_CLASS = -1


class Answer(NamedTuple):
    """The best classification of an occurrence, and what a person says independently."""

    pk: int
    occurrence_id: int
    category_map_id: int | None
    taxon_id: int | None
    score: float | None
    truth_id: int


class Named(NamedTuple):
    """Answers whose classification has a score and a name: arrays with one entry per answer."""

    occurrences: NDArray[np.int64]
    taxa: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]


class Vectors(NamedTuple):
    """Answers whose classification has logits.

    `labels` are those of the classes. `truths` is the true taxon, and `classes` the column of the
    true class, -1 for none. `paths` (classes x ranks) and `true_paths` (answers x ranks) have the
    taxon at each of `RANKS`, -1 for none.
    """

    labels: LabelTaxa
    occurrences: NDArray[np.int64]
    truths: NDArray[np.int64]
    logits: NDArray[np.float32]
    classes: NDArray[np.intp]
    paths: NDArray[np.int64]
    true_paths: NDArray[np.int64]

    def shares(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Probabilities of the answers at these places."""
        return softmax(self.logits[rows].astype(np.float64))


class Skipped:
    """Takes what `read_matrix` reports of unusable vectors; such answers are left out."""

    def count(self, **figures: int) -> None: ...

    def skip(self, reason: str, *, rows: int, ids: Any) -> None: ...

    def measured(self, detections: Any, values: Any, *, series: str = "") -> None: ...


def read_answers(algorithm: Algorithm, project: Project | None) -> list[Answer]:
    """Read the latest independent answer of each occurrence and its best classification.

    An answer that confirmed a name with one click is not independent, and nor is one of a sample
    whose person saw the name first. Answers that stand for no
    species are left out. Two queries.
    """
    said = Identification.objects.filter(INDEPENDENT, withdrawn=False, taxon__isnull=False)
    if project is not None:
        said = said.filter(project=project)
    latest = said.order_by("occurrence_id", "-created_at", "-id").distinct("occurrence_id")
    columns = latest.values_list("occurrence_id", "taxon_id", "taxon__identifiable")
    truths = {occurrence: taxon for occurrence, taxon, identifiable in columns if identifiable}
    best = (
        Classification.objects.filter(
            algorithm=algorithm, detection__occurrence__in=said.values("occurrence_id")
        )
        .order_by("detection__occurrence_id", F("score").desc(nulls_last=True), "-pk")
        .distinct("detection__occurrence_id")
        .values_list("pk", "detection__occurrence_id", "category_map_id", "taxon_id", "score")
    )
    return [Answer(*row, truths[row[1]]) for row in best if row[1] in truths]


def named(answers: Sequence[Answer], judge: Judge) -> Named:
    """Whether each name is right: what the person says, or an ancestor of it."""
    rows = [
        (answer, judge.outcome(answer.taxon_id, answer.truth_id))
        for answer in answers
        if answer.taxon_id is not None and answer.score is not None
    ]
    return Named(
        np.array([answer.occurrence_id for answer, _ in rows], dtype=np.int64),
        np.array([answer.taxon_id for answer, _ in rows], dtype=np.int64),
        np.array([answer.score for answer, _ in rows], dtype=np.float64),
        np.array([found in {Outcome.EXACT, Outcome.ANCESTOR} for _, found in rows], dtype=bool),
    )


def vectors(answers: Sequence[Answer], algorithm: Algorithm) -> Vectors | None:
    """Read the logits of the answers with the category map of the algorithm; None without any."""
    category_map = AlgorithmCategoryMap.objects.filter(algorithms=algorithm).first()
    if category_map is None or not category_map.labels:
        return None
    own = [one for one in answers if one.category_map_id in {None, category_map.pk}]
    labels = read_label_taxa(category_map)
    rows, logits = _read(own, width=len(labels.labels))
    if not rows:
        return None
    taxa = [taxon or 0 for taxon in labels.taxa]
    judge = Judge([*taxa, *(row.truth_id for row in rows)])
    places = {line[0]: place for place, pk in enumerate(taxa) if (line := judge.lineage(pk))}
    return Vectors(
        labels,
        np.array([row.occurrence_id for row in rows], dtype=np.int64),
        np.array([row.truth_id for row in rows], dtype=np.int64),
        logits,
        np.array([_class_of(row.truth_id, places, judge) for row in rows], dtype=np.intp),
        _paths(taxa, judge),
        _paths([row.truth_id for row in rows], judge),
    )


def _read(rows: Sequence[Answer], *, width: int) -> tuple[list[Answer], NDArray[np.float32]]:
    if not rows:
        return [], np.empty((0, width), dtype=np.float32)
    # The map keeps the file open until it is no longer used.
    with TemporaryFile() as file:
        stored = np.memmap(file, dtype=np.float32, mode="w+", shape=(len(rows), width))
    sound: list[Answer] = []
    for some in split(rows, width=width):
        kept, matrix = read_matrix(some, "logits", width=width, tally=Skipped())
        stored[len(sound) : len(sound) + len(kept)] = matrix
        sound += kept
    return sound, stored[: len(sound)]


def _class_of(truth: int, places: dict[int, int], judge: Judge) -> int:
    return next((places[pk] for pk in judge.lineage(truth) if pk in places), NO_CLASS)


def _paths(taxa: Sequence[int], judge: Judge) -> NDArray[np.int64]:
    def at(line: list[int], rank: str) -> int:
        return next((pk for pk in line if judge.taxonomy[pk].rank == rank), NO_TAXON)

    lines = [judge.lineage(pk) for pk in taxa]
    return np.array([[at(line, rank) for rank in RANKS] for line in lines], dtype=np.int64)
