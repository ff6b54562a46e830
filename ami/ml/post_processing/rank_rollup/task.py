"""Rank rollup: raise classifications to the finest rank whose score reaches its threshold."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from django.db.models import Q, QuerySet
from numpy.typing import NDArray
from pydantic import ConstrainedFloat, Field, validator

from ami.base.ids import RowId
from ami.base.vectors import Vector
from ami.jobs.engine.work import Planned
from ami.main.models import Classification, Detection, TaxonRank
from ami.main.querysets.classification import ClassificationQuerySet
from ami.ml.models import Algorithm
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.deriving import (
    CategoryMaps,
    Derived,
    Matrix,
    Source,
    consult_maps,
    derive,
    read_sources,
    rows_a_batch,
    softmax,
)
from ami.ml.post_processing.labels import LabelTaxa
from ami.ml.post_processing.measures import Measure
from ami.ml.post_processing.measures import Threshold as Border
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.scopes import AlgorithmId, ScopedConfig, existing_row

# UNKNOWN is not part of the order of ranks, so it is tried last.
FINEST_FIRST = [*TaxonRank.values[-2::-1], TaxonRank.UNKNOWN.value]
DECIMALS = 12  # of a sum, so that the order of its terms has no effect
LARGEST_SUM = 1.001  # of the scores of one classification, which may be in single precision


class Level(NamedTuple):
    """One rank over the classes of a category map.

    `taxa` are those of the rank, in the order of their first labels, and `columns` where their
    sums stand; `places` has, for each label, the place of its taxon in `taxa`, -1 for none.
    """

    rank: str
    threshold: float
    taxa: NDArray[np.int64]
    columns: slice
    places: NDArray[np.intp]


class Ladder(NamedTuple):
    """The ranks to try, finest first, and which label counts for which of their taxa."""

    levels: Sequence[Level]
    membership: Any  # a sparse matrix: labels by taxa of all levels

    @classmethod
    def of(cls, labels: LabelTaxa, thresholds: Mapping[str, float]) -> "Ladder":
        levels: list[Level] = []
        width = 0
        for rank in FINEST_FIRST:
            if rank not in thresholds:
                continue
            found = labels.at_rank(rank)
            taxa = list(dict.fromkeys(pk for pk in found if pk is not None))
            order = {pk: place for place, pk in enumerate(taxa)}
            places = np.array([-1 if pk is None else order[pk] for pk in found])
            columns = slice(width, width := width + len(taxa))
            levels.append(Level(rank, thresholds[rank], np.array(taxa, dtype=int), columns, places))
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


class RolledUp(NamedTuple):
    """The result, with one row per classification.

    `taxa` is 0 where no taxon reaches its threshold; `levels` is the index of the rank in the
    ladder; `unassigned` is the probability that counted for no taxon of that rank. `by_level` has
    the score at each rank of the ladder, NaN where there is no taxon to consider.
    """

    taxa: NDArray[np.int64]
    scores: Vector
    levels: NDArray[np.intp]
    unassigned: Vector
    by_level: Matrix


def roll_up(shares: Matrix, ladder: Ladder, *, constrained: bool) -> RolledUp:
    """Raise each row of probabilities to the first rank whose best taxon reaches its threshold.

    The score of a taxon is the sum over all classes under it. If `constrained`, only the taxon and
    the ancestors of the most probable class are considered; on a tie, the first class counts.
    """
    everyone = np.arange(len(shares))
    top = shares.argmax(axis=1)
    mass = shares.sum(axis=1)
    sums = shares @ ladder.membership
    taxa = np.zeros(len(shares), dtype=int)
    scores, unassigned = np.zeros(len(shares)), np.zeros(len(shares))
    levels = np.full(len(shares), -1)
    by_level = np.full((len(shares), len(ladder.levels)), np.nan)
    for number, level in enumerate(ladder.levels):
        block = sums[:, level.columns]
        best = level.places[top] if constrained else np.round(block, DECIMALS).argmax(axis=1)
        score = np.round(np.minimum(block[everyone, best], 1), DECIMALS)
        by_level[best >= 0, number] = score[best >= 0]
        wins = (taxa == 0) & (best >= 0) & (score >= level.threshold)
        taxa[wins], scores[wins] = level.taxa[best[wins]], score[wins]
        levels[wins] = number
        unassigned[wins] = np.maximum(mass - block.sum(axis=1), 0)[wins]
    return RolledUp(taxa, scores, levels, np.round(unassigned, DECIMALS), by_level)


def _nothing_in(rows: ClassificationQuerySet) -> str | None:
    """Why none of these classifications can be rolled up; None if one may be."""
    standing = rows.filter(terminal=True)
    if standing.filter(Q(scores__isnull=False) | Q(logits__isnull=False)).exists():
        return None
    if not (number := standing.count()):
        return "There is no classification in scope."
    rolled_up = standing.filter(algorithm__key=RankRollupTask.key).count()
    before = f" {rolled_up:,} of them are results of an earlier rollup." if rolled_up else ""
    return f"0 of {number:,} classifications in scope have scores or logits.{before}"


class Threshold(ConstrainedFloat):
    gt = 0
    le = 1


class RankRollupConfig(ScopedConfig):
    source_image_collection_id: RowId | None = None
    occurrence_id: RowId | None = None
    thresholds: dict[TaxonRank, Threshold] = Field(
        {TaxonRank.SPECIES: 0.8, TaxonRank.GENUS: 0.6, TaxonRank.FAMILY: 0.4},
        description="The lowest score for a taxon of each rank, above 0 and at most 1. Ranks "
        "without a threshold are not tried.",
    )
    lineage: Literal["constrained", "global"] = Field(
        "constrained",
        description="Constrained: consider only the best class and its ancestors. Global: consider "
        "all taxa of the rank.",
    )
    algorithm_id: AlgorithmId | None = Field(
        None,
        title="Algorithm",
        description="Roll up only the classifications of this algorithm. Empty: of all.",
    )

    @validator("thresholds")
    def at_least_one_rank(cls, thresholds: dict[str, float]) -> dict[str, float]:  # noqa: N805
        if not thresholds:
            raise ValueError("must name at least one rank")
        return thresholds


@register
class RankRollupTask(BasePostProcessingTask):
    key = "rank_rollup"
    name = "Rank rollup"
    description = "Raises classifications to the finest rank whose score reaches its threshold."
    config_schema = RankRollupConfig
    measure = Measure(
        label="Score of the best taxon",
        when=">=",
        effect="named at this rank",
        thresholds=lambda config: {
            rank.value: Border(value, f"thresholds_{rank.value}")
            for rank, value in config.thresholds.items()
        },
    )
    counters = (
        "classifications_checked",
        "classifications_rolled_up",
        "unchanged",
        "unresolved",
        "occurrences_updated",
    )

    config: RankRollupConfig

    @cached_property
    def batch_size(self) -> int:  # type: ignore[override]
        return rows_a_batch(self.maps.width)

    @classmethod
    def nothing_in(cls, detections: QuerySet[Detection]) -> str | None:
        reason = _nothing_in(Classification.objects.filter(detection__in=detections))
        return reason and (super().nothing_in(detections) or reason)

    def nothing_to_do(self) -> str | None:
        reason = _nothing_in(self._given(self.scope))
        return reason and (super().nothing_in(self.scope) or reason)

    def consult(self) -> dict[str, Any]:
        """Raises JobFailedError if the algorithm no longer exists."""
        if self.config.algorithm_id is not None:
            existing_row(Algorithm, self.config.algorithm_id)
        return consult_maps(self._given(self.scope))

    @cached_property
    def maps(self) -> CategoryMaps:
        return CategoryMaps(self.basis)

    def plan(self) -> list[Planned]:
        self.maps.tell_unresolved(self.logger)
        for pk, labels in self.maps.items():
            self._tell_ranks(pk, labels)
        return super().plan()

    def prepare(self) -> None:
        self.thresholds = {str(rank): value for rank, value in self.config.thresholds.items()}
        self.ladders: dict[LabelTaxa, Ladder] = {}

    def process(self, batch: Batch) -> None:
        rows = self._given(batch.detections).filter(terminal=True)
        scored = self._derive(rows.filter(scores__isnull=False), "scores")
        unscored = rows.filter(scores__isnull=True, logits__isnull=False)
        self.update_determinations(scored | self._derive(unscored, "logits"))

    def _given(self, detections: QuerySet[Detection]) -> ClassificationQuerySet:
        """The classifications to consider, including superseded ones."""
        rows = Classification.objects.filter(detection__in=detections)
        if self.config.algorithm_id is None:
            return rows
        return rows.filter(algorithm=self.config.algorithm_id)

    def _derive(self, rows: ClassificationQuerySet, vectors: str) -> set[int]:
        sources = read_sources(rows, self.maps)
        self.count(classifications_checked=len(sources))
        rule = self._raise_logits if vectors == "logits" else self._raise_scores
        return derive(
            sources,
            rule,
            vectors=vectors,
            maps=self.maps,
            author=self.algorithm,
            job=self.job,
            tally=self,
        )

    def _raise_logits(
        self, labels: LabelTaxa, sources: Sequence[Source], logits: Matrix
    ) -> Derived:
        return self._raise(labels, sources, softmax(logits))

    def _raise_scores(
        self, labels: LabelTaxa, sources: Sequence[Source], scores: Matrix
    ) -> Derived:
        with np.errstate(over="ignore", invalid="ignore"):
            mass = scores.sum(axis=1)
        sound: NDArray[np.bool_] = (scores >= 0).all(axis=1) & (mass <= LARGEST_SUM)
        odd = [row.pk for row, is_sound in zip(sources, sound, strict=True) if not is_sound]
        if odd:
            reason = "scores are not probabilities"
            self.skip(reason, rows=len(odd), ids=odd)
        rows = [row for row, is_sound in zip(sources, sound, strict=True) if is_sound]
        return self._raise(labels, rows, scores[sound] if odd else scores)

    def _raise(self, labels: LabelTaxa, sources: Sequence[Source], shares: Matrix) -> Derived:
        ladder = self._ladder(labels)
        rolled = roll_up(shares, ladder, constrained=self.config.lineage == "constrained")
        for number, level in enumerate(ladder.levels):
            own = [row.detection_id for row in sources]
            self.measured(own, rolled.by_level[:, number], series=level.rank)
        present = np.array([row.taxon_id or 0 for row in sources], dtype=int)
        chosen = np.flatnonzero((rolled.taxa != 0) & (rolled.taxa != present)).tolist()
        unresolved = int((rolled.taxa == 0).sum())
        self.count(
            classifications_rolled_up=len(chosen),
            unresolved=unresolved,
            unchanged=len(sources) - len(chosen) - unresolved,
        )
        return Derived(
            sources=[sources[place] for place in chosen],
            taxon_ids=rolled.taxa[chosen].tolist(),
            score=rolled.scores[chosen],
            metadata=[
                {
                    "thresholds": self.thresholds,
                    "lineage": self.config.lineage,
                    "rank": ladder.levels[level].rank,
                    "unassigned_mass": mass,
                }
                for level, mass in zip(
                    rolled.levels[chosen].tolist(), rolled.unassigned[chosen].tolist(), strict=True
                )
            ],
        )

    def _ladder(self, labels: LabelTaxa) -> Ladder:
        if labels not in self.ladders:
            self.ladders[labels] = Ladder.of(labels, self.thresholds)
        return self.ladders[labels]

    def _tell_ranks(self, pk: int, labels: LabelTaxa) -> None:
        """Log how many labels of a category map count for no taxon at a rank."""
        for rank in self.config.thresholds:
            if without := labels.at_rank(rank).count(None):
                self.logger.info(
                    "Category map %d: %d of %d labels lie under no %s and count for no taxon.",
                    pk,
                    without,
                    len(labels.labels),
                    rank.lower(),
                )
