"""Track consensus: one classification for an individual, from those of all its frames."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from math import isclose
from typing import Any

import numpy as np
from django.db.models import Q, QuerySet
from django.utils import timezone
from pydantic import Field

from ami.base.ids import RowId
from ami.jobs.engine.work import Planned
from ami.main.models import Classification, Detection, Taxon
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.changes import NO_CHANGE, Change
from ami.ml.post_processing.deriving import (
    NUMBERS_AT_ONCE,
    CategoryMaps,
    Derived,
    Source,
    by_category_map,
    consult_maps,
    probabilities,
    read_matrix,
    rows_a_batch,
    softmax,
    split,
    write,
)
from ami.ml.post_processing.measures import Measure, Threshold
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.scopes import ScopedConfig
from ami.ml.post_processing.track_consensus.frames import Individual, Row, read_individuals
from ami.ml.post_processing.track_consensus.fusing import Rule
from ami.ml.post_processing.track_consensus.groups import Group, Portion, Verdict, scores_alone

SAME_SCORE = 1e-9
FLAGS = "Taxa that are not identifiable"  # as a page lists what a run consulted
# A classification that says something about the name: see Row.speaks, and the flags in READ.
SPEAKS = (Q(taxon=None) | Q(taxon__identifiable=True)) & (
    Q(scores__isnull=False) | Q(logits__isnull=False) | Q(taxon__isnull=False, score__isnull=False)
)
LARGEST_BATCH = 5_000  # detections; their distributions are not in memory at once


class TrackConsensusConfig(ScopedConfig):
    source_image_collection_id: RowId | None = None
    occurrence_id: RowId | None = None
    event_id: RowId | None = None
    rule: Rule = Field(
        "mean",
        description="Mean: average the probabilities of the frames. Log mean: average their "
        "logarithms, so that one frame can rule a class out. Best: take the frame with the highest "
        "score.",
    )
    min_frames: int = Field(
        2,
        ge=2,
        le=1_000,
        title="Frames",
        description="Leave individuals with fewer classified frames alone.",
    )
    temperature: float = Field(
        1.0,
        ge=0.1,
        le=10,
        description="Divide the logits by this number before they are averaged. Above 1, the "
        "frames are less certain of their names.",
    )


@register
class TrackConsensusTask(BasePostProcessingTask):
    key = "track_consensus"
    name = "Track consensus"
    description = "Gives each individual one classification, made of those of all its frames."
    docs = "reference/methods/track_consensus.html"
    config_schema = TrackConsensusConfig
    measure = Measure(
        label="Frames of the individual",
        when=">=",
        effect="given a consensus",
        thresholds=lambda config: {"": Threshold(config.min_frames, "min_frames")},
        logarithmic=True,
    )
    counters = (
        "occurrences_checked",
        "occurrences_fused",
        "frames_fused",
        "unchanged",
        "too_few_frames",
        "unresolved",
        "occurrences_updated",
    )

    config: TrackConsensusConfig

    @cached_property
    def batch_size(self) -> int:  # type: ignore[override]
        return rows_a_batch(self.maps.width, at_most=LARGEST_BATCH)

    @classmethod
    def nothing_in(cls, detections: QuerySet[Detection]) -> str | None:
        homes = detections.order_by().filter(occurrence__isnull=False).values("occurrence_id")
        if Classification.objects.filter(SPEAKS, detection__occurrence__in=homes).exists():
            return None
        if homes.exists():
            return "No occurrence in scope has a classification to fuse."
        return super().nothing_in(detections) or "No detection in scope is in an occurrence."

    def consult(self) -> dict[str, Any]:
        homes = self.scope.order_by().filter(occurrence__isnull=False).values("occurrence_id")
        flags = Taxon.objects.filter(identifiable=False).order_by("pk")
        return {
            FLAGS: list(flags.values_list("pk", flat=True)),
            **consult_maps(Classification.objects.filter(detection__occurrence__in=homes)),
        }

    @cached_property
    def maps(self) -> CategoryMaps:
        return CategoryMaps(self.basis)

    def plan(self) -> list[Planned]:
        self.maps.tell_unresolved(self.logger)
        return super().plan()

    def process(self, batch: Batch) -> None:
        found = self._individuals(batch)
        self.count(occurrences_checked=len(found))
        shown = {one.pk: one.sources[0].detection_id for one in found}
        enough = self._comparable(found, min_frames=self.config.min_frames)
        for members, taxa, portions in self._groups(enough):
            group = Group(members, taxa, self.config.rule, self.config.temperature)
            verdicts = list(group.verdicts(portions, min_frames=self.config.min_frames))
            self.count(too_few_frames=len(members) - len(verdicts))
            self._conclude(verdicts)
            shown |= {one.individual.pk: one.best.detection_id for one in verdicts}
        self.measured(list(shown.values()), [one.frames for one in found])

    def compare(self, batch: Batch, configs: Sequence[Any]) -> Iterator[Change]:
        found = self._individuals(batch)
        lowest = min(config.min_frames for config in configs)
        changes: list[list[Change]] = [[] for _ in configs]
        for some in self._at_once(self._comparable(found, min_frames=lowest)):
            for members, taxa, portions in self._groups(some):
                read = list(portions)
                for temperature in {config.temperature for config in configs}:
                    group = Group(members, taxa, self.config.rule, temperature)
                    verdicts = list(group.verdicts(read, min_frames=lowest))
                    for config, own in zip(configs, changes, strict=True):
                        if config.temperature == temperature:
                            own.append(_change(verdicts, min_frames=config.min_frames))
        return map(Change.joined, changes)

    def _individuals(self, batch: Batch) -> list[Individual]:
        return read_individuals(
            batch.detections, author=self.algorithm, maps=self.maps, flags=self.basis[FLAGS]
        )

    def _at_once(self, individuals: Iterable[Individual]) -> Iterator[list[Individual]]:
        """The individuals, as many at a time as have their distributions in memory at once."""
        size, rows = max(1, NUMBERS_AT_ONCE // max(1, self.maps.width)), 0
        some: list[Individual] = []
        for one in individuals:
            some.append(one)
            rows += len(one.sources)
            if rows >= size:
                yield some
                some, rows = [], 0
        yield some

    def _comparable(self, found: list[Individual], *, min_frames: int) -> list[Individual]:
        """Those with enough frames, all of whose distributions have the same classes."""
        enough = [one for one in found if one.frames >= min_frames]
        self.count(too_few_frames=len(found) - len(enough))
        mixed = [one.pk for one in enough if len(one.kinds) > 1]
        if mixed:
            self.skip("individual with several category maps", rows=len(mixed), ids=mixed)
        return [one for one in enough if len(one.kinds) == 1]

    def _groups(
        self, individuals: Sequence[Individual]
    ) -> Iterator[tuple[list[Individual], Sequence[int | None], Iterator[Portion]]]:
        """The individuals by category map, with the taxa of its classes and the distributions."""
        own = [row for one in individuals for row in one.sources]
        having = [row for row in own if row.vectors]
        for labels, rows in by_category_map(having, maps=self.maps, tally=self):
            yield (
                _members(individuals, rows),
                labels.taxa,
                self._read(rows, width=len(labels.labels)),
            )
        if lacking := [row for row in own if not row.vectors]:
            taxa = sorted({row.taxon_id for row in lacking if row.taxon_id is not None})
            yield _members(individuals, lacking), taxa, scores_alone(lacking, taxa)

    def _read(self, rows: Sequence[Row], *, width: int) -> Iterator[Portion]:
        """The rows with sound distributions, and these, some at a time."""
        for column in ("scores", "logits"):
            having = [row for row in rows if row.vectors == column]
            for some in split(having, width=width):
                sound, matrix = read_matrix(some, column, width=width, tally=self)
                if column == "logits":
                    yield sound, softmax(matrix)
                else:
                    yield probabilities(sound, matrix, tally=self)

    def _conclude(self, verdicts: Sequence[Verdict]) -> None:
        """Write the verdicts that are new, and demote what they supersede."""
        new, unresolved = _new(verdicts), sum(one.taxon_id is None for one in verdicts)
        self.count(
            unresolved=unresolved,
            unchanged=len(verdicts) - unresolved - len(new),
            occurrences_fused=len(new),
            frames_fused=sum(len(one.metadata["frames"]) for one in new),
        )
        if not new:
            return
        superseded = {pk for one in new for pk in one.individual.current}
        Classification.objects.filter(pk__any_of=superseded).update(
            terminal=False, updated_at=timezone.now()
        )
        write(_derived(new), author=self.algorithm, job=self.job)
        self.update_determinations(one.individual.pk for one in new)


def _new(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The verdicts that name a taxon and change something."""
    return [one for one in verdicts if one.taxon_id is not None and not _stands(one)]


def _change(verdicts: Iterable[Verdict], *, min_frames: int) -> Change:
    new = _new(one for one in verdicts if len(one.metadata["frames"]) >= min_frames)
    superseded = [pk for one in new for pk in one.individual.current]
    return NO_CHANGE._replace(
        superseded=np.array(superseded, dtype=np.int64),
        detections=np.array([one.best.detection_id for one in new], dtype=np.int64),
        taxa=np.array([one.taxon_id for one in new], dtype=np.int64),
        scores=np.array([one.score for one in new]),
    )


def _members(individuals: Iterable[Individual], rows: Iterable[Row]) -> list[Individual]:
    homes = {row.occurrence_id for row in rows}
    return [one for one in individuals if one.pk in homes]


def _stands(verdict: Verdict) -> bool:
    """Whether the individual has this consensus already, and nothing else is current."""
    former = verdict.individual.former
    return (
        former is not None
        and verdict.individual.current == [former.pk]
        and former.detection_id == verdict.best.detection_id
        and former.taxon_id == verdict.taxon_id
        and former.score is not None
        and isclose(former.score, verdict.score, rel_tol=0, abs_tol=SAME_SCORE)
        and former.told == verdict.metadata
    )


def _derived(verdicts: Sequence[Verdict]) -> Derived:
    best = [one.best for one in verdicts]
    return Derived(
        sources=[
            Source(row.pk, row.detection_id, row.occurrence_id, row.taxon_id, row.category_map_id)
            for row in best
        ],
        taxon_ids=[one.taxon_id for one in verdicts if one.taxon_id is not None],
        score=np.array([one.score for one in verdicts]),
        metadata=[one.metadata for one in verdicts],
        scores=[one.shares for one in verdicts] if best[0].vectors else None,
    )
