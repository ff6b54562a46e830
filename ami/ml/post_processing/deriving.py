"""Derive classifications from others with vectors, and supersede those.

A method provides a rule for the vectors of one category map, as NumPy arrays. This module reads and
checks the vectors, demotes the sources and writes the results, some rows at a time to bound memory.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from django.db.models import Q
from django.utils import timezone
from numpy.typing import ArrayLike, NDArray

from ami.base.vectors import Vector, fill_matrix, write_rows
from ami.jobs.models import Job
from ami.main.models import Classification
from ami.main.querysets.classification import ClassificationQuerySet
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.ml.post_processing.labels import LabelTaxa, read_label_taxa

Matrix = NDArray[np.float64]
R = TypeVar("R", bound="HasVectors")

LARGEST_BATCH = 1_000
BATCH = 2_000_000  # numbers of a vector column in a batch, which takes about 1 s
NUMBERS_AT_ONCE = 1_000_000  # numbers of a vector column in memory at once, 8 bytes each
NAMED = 1_000
LARGEST_SUM = 1.001  # of the scores of one classification, which may be in single precision
# The names under which a page lists what a run consulted.
LABELS = "Labels and their taxa"
OF_ALGORITHMS = "Category maps of the algorithms"


class HasVectors(Protocol):
    """A classification with vectors, and the category map that they belong to."""

    @property
    def pk(self) -> int: ...

    @property
    def category_map_id(self) -> int | None: ...


class Source(NamedTuple):
    """A classification from which another may be derived, without its vectors.

    If the project is given, PostgreSQL need not look it up for the derived one.
    """

    pk: int
    detection_id: int
    occurrence_id: int | None
    taxon_id: int | None
    category_map_id: int | None
    project_id: int | None = None


class Derived(NamedTuple):
    """The results of a rule: one classification for each of these sources.

    `scores` holds one row per source, in the order of the category map; None if they are not
    stored. If `keeps_logits`, the results have the logits of their sources. The `restored` sources
    are current again, instead of the former results for them.
    """

    sources: Sequence[Source]
    taxon_ids: Sequence[int]
    score: Vector
    metadata: Sequence[dict[str, Any]]
    scores: Sequence[Vector] | None = None
    keeps_logits: bool = False
    restored: Sequence[Source] = ()


# Takes the sources of one category map and a matrix of one row per source, one column per label.
Rule = Callable[[LabelTaxa, Sequence[Source], Matrix], Derived]


class Tally(Protocol):
    """Counts rows. Every task is a Tally."""

    def count(self, **figures: int) -> None: ...

    def skip(self, reason: str, *, rows: int, ids: Iterable[int]) -> None: ...

    def measured(
        self, detections: Sequence[int], values: ArrayLike, *, series: str = ""
    ) -> None: ...


class CategoryMaps(dict[int, LabelTaxa]):
    """The category maps of a run by id, with the taxa of their labels.

    They are built from the result of :func:`consult_maps`, so later changes of the catalogue have
    no effect. `by_algorithm` holds the map for classifications that name none themselves.
    """

    def __init__(self, consulted: Mapping[str, Any]) -> None:
        maps = consulted[LABELS].items()
        super().__init__({int(pk): LabelTaxa.restored(stored) for pk, stored in maps})
        algorithms = consulted[OF_ALGORITHMS].items()
        self.by_algorithm: dict[int, int | None] = {int(pk): number for pk, number in algorithms}

    def of_algorithm(self, pk: int) -> LabelTaxa | None:
        return self.get(self.by_algorithm.get(pk) or 0)

    def number(self, own: int | None, algorithm: int | None) -> int | None:
        """The id of the map of a classification, from its `own` and the id of its algorithm."""
        return own or self.by_algorithm.get(algorithm or 0)

    @property
    def width(self) -> int:
        """The number of labels of the largest map."""
        return max((len(one.labels) for one in self.values()), default=0)

    def tell_unresolved(self, logger: logging.Logger) -> None:
        """Log the labels that stand for no taxon."""
        for pk, labels in self.items():
            if unresolved := labels.unresolved:
                logger.warning(
                    "Category map %d: %d of %d labels stand for no taxon: %s%s",
                    pk,
                    len(unresolved),
                    len(labels.labels),
                    ", ".join(unresolved[:NAMED]),
                    ", …" if len(unresolved) > NAMED else ".",
                )


def consult_maps(rows: ClassificationQuerySet, *, of: Collection[int] = ()) -> dict[str, Any]:
    """The category maps of `rows`, as part of :meth:`PlannedWork.consult`, for CategoryMaps.

    Includes the maps of the algorithms whose ids are in `of`, even if they have no row.
    """
    pairs = set(rows.order_by().values_list("algorithm_id", "category_map_id").distinct())
    ids = {algorithm for algorithm, own in pairs if own is None} | set(of)
    algorithms = dict(Algorithm.objects.filter(pk__in=ids).values_list("pk", "category_map_id"))
    used = {own for _, own in pairs} | set(algorithms.values())
    maps = AlgorithmCategoryMap.objects.filter(pk__in=used - {None}).order_by("pk")
    return {
        LABELS: {str(one.pk): read_label_taxa(one).stored() for one in maps},
        OF_ALGORITHMS: {str(pk): number for pk, number in algorithms.items()},
    }


def rows_a_batch(classes: int, *, at_most: int = LARGEST_BATCH) -> int:
    """The number of rows per batch: the more classes a row has, the fewer rows."""
    return max(1, min(at_most, BATCH * at_most // LARGEST_BATCH // max(1, classes)))


def read_sources(rows: ClassificationQuerySet, maps: CategoryMaps) -> list[Source]:
    """The rows by id, in one query; rows without a category map use that of their algorithm."""
    columns = rows.order_by("pk").values_list(
        "pk",
        "detection_id",
        "detection__occurrence_id",
        "taxon_id",
        "category_map_id",
        "algorithm_id",
        "project_id",
    )
    return [
        Source(pk, detection, occurrence, taxon, maps.number(own, by), project)
        for pk, detection, occurrence, taxon, own, by, project in columns
    ]


def derive(
    sources: Iterable[Source],
    rule: Rule,
    *,
    vectors: str,
    maps: CategoryMaps,
    author: Algorithm,
    job: Job | None,
    tally: Tally,
) -> set[int]:
    """Write the results of `rule` for the sources, and demote what they supersede.

    `vectors` names the column to read, "scores" or "logits". Returns the ids of the occurrences
    whose classifications changed. Rows whose vector does not fit their category map, or contains
    null, NaN or infinity, are skipped, and counted by reason.
    """
    touched: set[int] = set()
    for labels, rows in by_category_map(sources, maps=maps, tally=tally):
        for some in split(rows, width=len(labels.labels)):
            sound, matrix = read_matrix(some, vectors, width=len(labels.labels), tally=tally)
            derived = rule(labels, sound, matrix)
            changed = [*derived.sources, *derived.restored]
            if not changed:
                continue
            _demote(changed, author=author)
            if derived.restored:
                _restore(derived.restored)
            if derived.sources:
                write(derived, author=author, job=job)
            touched.update(row.occurrence_id for row in changed if row.occurrence_id)
    return touched


def softmax(logits: Matrix) -> Matrix:
    """exp(x) ÷ Σ exp(x) over each row, shifted by its maximum so that nothing overflows."""
    with np.errstate(over="ignore", under="ignore"):
        shares: Matrix = logits - logits.max(axis=1, keepdims=True)
        np.exp(shares, out=shares)
        shares /= shares.sum(axis=1, keepdims=True)
    return shares


def probabilities(rows: Sequence[R], scores: Matrix, *, tally: Tally) -> tuple[list[R], Matrix]:
    """The rows whose `scores` are probabilities, with these; the others are skipped and counted."""
    with np.errstate(over="ignore", invalid="ignore"):
        mass = scores.sum(axis=1)
    sound: NDArray[np.bool_] = (scores >= 0).all(axis=1) & (mass <= LARGEST_SUM)
    if sound.all():
        return list(rows), scores
    odd = [row.pk for row, is_sound in zip(rows, sound, strict=True) if not is_sound]
    tally.skip("scores are not probabilities", rows=len(odd), ids=odd)
    kept = [row for row, is_sound in zip(rows, sound, strict=True) if is_sound]
    return kept, scores[sound]


def by_category_map(
    sources: Iterable[R], *, maps: CategoryMaps, tally: Tally
) -> Iterator[tuple[LabelTaxa, list[R]]]:
    """The rows of each category map in their order; those without labels are skipped."""

    def number(row: R) -> int:
        return row.category_map_id or 0

    for pk, group in groupby(sorted(sources, key=number), key=number):
        rows = list(group)
        labels = maps.get(pk)
        if labels and labels.labels:
            yield labels, rows
            continue
        reason = "no category map"
        if pk:
            reason = (
                "category map without labels"
                if labels
                else "category map was not used when planned"
            )
        tally.skip(reason, rows=len(rows), ids=[row.pk for row in rows])


def split(rows: Sequence[R], *, width: int) -> Iterator[Sequence[R]]:
    """The rows, as many at a time as have their vectors in memory at once."""
    size = max(1, NUMBERS_AT_ONCE // width)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def read_matrix(
    rows: Sequence[R], column: str, *, width: int, tally: Tally
) -> tuple[list[R], Matrix]:
    """The rows with sound vectors, and these vectors as a matrix; the others are skipped."""
    places = {row.pk: place for place, row in enumerate(rows)}
    wanted = Classification.objects.filter(pk__any_of=places.keys())
    matrix = np.empty((len(rows), width))
    lengths = fill_matrix(matrix, wanted.values_list("pk", column), places)
    fits = lengths == width
    sound = fits & np.isfinite(matrix).all(axis=1)
    for reason, unusable in {
        f"{column} of another length than the category map": ~fits & (lengths >= 0),
        f"{column} are not finite numbers": fits & ~sound,
    }.items():
        if unusable.any():
            ids = [rows[place].pk for place in np.flatnonzero(unusable).tolist()]
            tally.skip(reason, rows=len(ids), ids=ids)
    if sound.all():
        return list(rows), matrix
    return [rows[place] for place in np.flatnonzero(sound).tolist()], matrix[sound]


def _demote(sources: Iterable[Source], *, author: Algorithm) -> None:
    """Demote the sources, and earlier results of `author` for them."""
    ids = {row.pk for row in sources}
    superseded = Q(pk__any_of=ids) | Q(applied_to__any_of=ids, algorithm=author)
    Classification.objects.filter(superseded, terminal=True).update(
        terminal=False, updated_at=timezone.now()
    )


def _restore(sources: Iterable[Source]) -> None:
    ids = {row.pk for row in sources}
    Classification.objects.filter(pk__any_of=ids).update(terminal=True, updated_at=timezone.now())


def write(derived: Derived, *, author: Algorithm, job: Job | None) -> None:
    """Write the results as terminal classifications by `author`; nothing is demoted."""
    now = timezone.now()
    rows = derived.sources
    constants = {
        "created_at": now,
        "updated_at": now,
        "timestamp": now,
        "terminal": True,
        "algorithm_id": author.pk,
        "job_id": job.pk if job else None,
    }
    columns: dict[str, Collection[Any]] = {
        "detection_id": [row.detection_id for row in rows],
        "project_id": [row.project_id for row in rows],
        "taxon_id": derived.taxon_ids,
        "score": derived.score,
        "applied_to_id": [row.pk for row in rows],
        "metadata": derived.metadata,
    }
    if derived.scores is not None:
        columns["scores"] = derived.scores
        columns["category_map_id"] = [row.category_map_id for row in rows]
    copied = {"logits": "applied_to_id"} if derived.keeps_logits else {}
    write_rows(Classification, columns, constants=constants, copied=copied)
