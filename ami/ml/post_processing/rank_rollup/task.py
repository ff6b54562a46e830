"""Rank rollup: raise classifications to the finest rank whose score reaches its threshold."""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from django.db.models import Q, QuerySet
from pydantic import ConstrainedFloat, Field, validator

from ami.base.ids import RowId
from ami.jobs.engine.work import Planned
from ami.main.models import Classification, Detection, TaxonRank
from ami.main.querysets.classification import ClassificationQuerySet
from ami.ml.models import Algorithm
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.changes import Change, compare_derived
from ami.ml.post_processing.deriving import (
    CategoryMaps,
    Derived,
    Matrix,
    Source,
    consult_maps,
    derive,
    probabilities,
    read_sources,
    rows_a_batch,
    softmax,
)
from ami.ml.post_processing.labels import LabelTaxa
from ami.ml.post_processing.measures import Measure
from ami.ml.post_processing.measures import Threshold as Border
from ami.ml.post_processing.rank_rollup.ladder import Ladder, RolledUp, Rungs, choose, roll_up
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.scopes import AlgorithmId, ScopedConfig, existing_row


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
    docs = "reference/methods/rank_rollup.html"
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
        self.ladders: dict[tuple[LabelTaxa, frozenset[str]], Ladder] = {}

    def process(self, batch: Batch) -> None:
        touched: set[int] = set()
        for vectors, rows in self._current(batch).items():
            sources = read_sources(rows, self.maps)
            self.count(classifications_checked=len(sources))
            touched |= derive(
                sources,
                partial(self._raise, vectors=vectors),
                vectors=vectors,
                maps=self.maps,
                author=self.algorithm,
                job=self.job,
                tally=self,
            )
        self.update_determinations(touched)

    def compare(self, batch: Batch, configs: Sequence[Any]) -> Iterator[Change]:
        portions = [
            portion
            for vectors, rows in self._current(batch).items()
            for portion in compare_derived(
                read_sources(rows, self.maps),
                partial(self._compared, vectors=vectors, configs=configs),
                vectors=vectors,
                maps=self.maps,
                author=self.algorithm,
                tally=self,
            )
        ]
        for number in range(len(configs)):
            yield Change.joined(portion[number] for portion in portions)

    def _current(self, batch: Batch) -> dict[str, ClassificationQuerySet]:
        """The classifications to roll up, by the column of their vectors."""
        rows = self._given(batch.detections).filter(terminal=True)
        return {
            "scores": rows.filter(scores__isnull=False),
            "logits": rows.filter(scores__isnull=True, logits__isnull=False),
        }

    def _given(self, detections: QuerySet[Detection]) -> ClassificationQuerySet:
        """The classifications to consider, including superseded ones."""
        rows = Classification.objects.filter(detection__in=detections)
        if self.config.algorithm_id is None:
            return rows
        return rows.filter(algorithm=self.config.algorithm_id)

    def _raise(
        self, labels: LabelTaxa, sources: Sequence[Source], matrix: Matrix, *, vectors: str
    ) -> Derived:
        ladder = self._ladder(labels, frozenset(self.thresholds))
        sources, rungs = self._rungs(ladder, sources, matrix, vectors=vectors)
        for number, level in enumerate(ladder.levels):
            own = [row.detection_id for row in sources]
            self.measured(own, rungs.scores[:, number], series=level.rank)
        rolled, chosen = self._raised(sources, rungs, ladder, self.config)
        unresolved = int((rolled.taxa == 0).sum())
        self.count(
            classifications_rolled_up=len(chosen),
            unresolved=unresolved,
            unchanged=len(sources) - len(chosen) - unresolved,
        )
        levels = rolled.levels[chosen]
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
                    levels.tolist(), rungs.unassigned[chosen, levels].tolist(), strict=True
                )
            ],
        )

    def _compared(
        self,
        labels: LabelTaxa,
        sources: Sequence[Source],
        matrix: Matrix,
        *,
        vectors: str,
        configs: Sequence[RankRollupConfig],
    ) -> Iterator[Change]:
        ladder = self._ladder(labels, frozenset(rank for one in configs for rank in one.thresholds))
        sources, rungs = self._rungs(ladder, sources, matrix, vectors=vectors)
        for config in configs:
            rolled, chosen = self._raised(sources, rungs, ladder, config)
            yield Change.of(sources, chosen, rolled.taxa[chosen], rolled.scores[chosen])

    def _rungs(
        self, ladder: Ladder, sources: Sequence[Source], matrix: Matrix, *, vectors: str
    ) -> tuple[Sequence[Source], Rungs]:
        if vectors == "logits":
            shares = softmax(matrix)
        else:
            sources, shares = probabilities(sources, matrix, tally=self)
        constrained = self.config.lineage == "constrained"
        return sources, roll_up(shares, ladder, constrained=constrained)

    @staticmethod
    def _raised(
        sources: Sequence[Source], rungs: Rungs, ladder: Ladder, config: RankRollupConfig
    ) -> tuple[RolledUp, list[int]]:
        """What the rows are raised to, and the places of those that get another taxon."""
        thresholds: dict[str, float] = {rank.value: one for rank, one in config.thresholds.items()}
        rolled = choose(rungs, [thresholds.get(level.rank, np.inf) for level in ladder.levels])
        present = np.array([row.taxon_id or 0 for row in sources], dtype=int)
        return rolled, np.flatnonzero((rolled.taxa != 0) & (rolled.taxa != present)).tolist()

    def _ladder(self, labels: LabelTaxa, ranks: frozenset[str]) -> Ladder:
        if (labels, ranks) not in self.ladders:
            self.ladders[labels, ranks] = Ladder.of(labels, ranks)
        return self.ladders[labels, ranks]

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
