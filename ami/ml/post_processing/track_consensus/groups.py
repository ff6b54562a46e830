"""Individuals whose distributions have the same classes, fused together."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ami.ml.post_processing.deriving import split
from ami.ml.post_processing.track_consensus.frames import Individual, Row
from ami.ml.post_processing.track_consensus.fusing import Floats, Fusion, Rule, at_temperature

DECIMALS = 12  # of a probability, so that the order in which frames are added has no effect
WEIGHT_DECIMALS = 6

Portion = tuple[list[Row], Floats]  # some rows with their probabilities (rows x classes)


class Top(NamedTuple):
    """The most probable class of a source, and its probability."""

    place: int
    share: float


class Verdict(NamedTuple):
    """The consensus on an individual. `taxon_id` is None if its class stands for no taxon."""

    individual: Individual
    best: Row
    taxon_id: int | None
    score: float
    shares: Floats
    metadata: dict[str, Any]


@dataclass
class Group:
    """Individuals whose distributions have the same classes, which are given by their taxa."""

    individuals: list[Individual]
    taxa: Sequence[int | None]
    rule: Rule
    temperature: float
    tops: dict[int, Top] = field(default_factory=dict)  # by the id of the source

    def fuse(self, portions: Iterable[Portion]) -> Floats:
        """The fused distributions (individuals x classes)."""
        place_of = {one.pk: place for place, one in enumerate(self.individuals)}
        weight_of = {
            row.pk: weight
            for one in self.individuals
            for row, weight in zip(one.sources, one.weights, strict=True)
        }
        fusion = Fusion(len(self.individuals), len(self.taxa), self.rule)
        for rows, matrix in portions:
            shares = at_temperature(matrix, self.temperature)
            fusion.add(
                np.array([place_of[row.occurrence_id] for row in rows], dtype=np.intp),
                np.array([weight_of[row.pk] for row in rows]),
                shares,
            )
            tops = shares.argmax(axis=1)
            pairs = zip(tops.tolist(), shares[np.arange(len(rows)), tops].tolist(), strict=True)
            self.tops.update(zip((row.pk for row in rows), map(Top._make, pairs), strict=True))
        return fusion.result()

    def verdicts(self, portions: Iterable[Portion], *, min_frames: int) -> Iterator[Verdict]:
        """The consensus on each individual that has so many frames with a distribution."""
        fused = self.fuse(portions)
        winners = np.round(fused, DECIMALS).argmax(axis=1).tolist()
        for one, shares, winner in zip(self.individuals, fused, winners, strict=True):
            used = [
                (row, weight)
                for row, weight in zip(one.sources, one.weights, strict=True)
                if row.pk in self.tops
            ]
            if len({row.detection_id for row, _ in used}) < min_frames:
                continue
            yield Verdict(
                individual=one,
                best=self._best([row for row, _ in used], winner),
                taxon_id=self.taxa[winner],
                score=min(1.0, round(float(shares[winner]), DECIMALS)),
                shares=shares,
                metadata=self._metadata(used),
            )

    def _best(self, rows: Collection[Row], winner: int) -> Row:
        """The largest and surest frame among those that agree, or else among all."""

        def rank(row: Row) -> tuple[bool, float, float]:
            top = self.tops[row.pk]
            return top.place == winner, (row.area or 0) * top.share, top.share

        return max(rows, key=rank)  # the first of equal ones

    def _metadata(self, used: Sequence[tuple[Row, float]]) -> dict[str, Any]:
        told: dict[str, Any] = {
            "rule": self.rule,
            "temperature": self.temperature,
            "frames": list(dict.fromkeys(row.detection_id for row, _ in used)),
            "sources": [row.pk for row, _ in used],
        }
        if self.rule != "best":
            total = sum(weight for _, weight in used)
            told["weights"] = [round(weight / total, WEIGHT_DECIMALS) for _, weight in used]
        return told


def scores_alone(rows: Sequence[Row], taxa: Sequence[int]) -> Iterator[Portion]:
    """Distributions of rows that have only a name and a score; the rest counts for no taxon."""
    places = {pk: place for place, pk in enumerate(taxa)}
    for some in split(rows, width=len(taxa)):
        shares = np.zeros((len(some), len(taxa)))
        columns = [places[row.taxon_id or 0] for row in some]
        shares[np.arange(len(some)), columns] = [row.score or 0 for row in some]
        yield list(some), shares
