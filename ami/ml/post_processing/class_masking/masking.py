"""The rule of class masking: how a classification changes when classes are excluded."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Exists, OuterRef, Q
from numpy.typing import NDArray

from ami.base.vectors import Vector
from ami.jobs.models import Job
from ami.main.models import Classification
from ami.main.querysets.classification import ClassificationQuerySet
from ami.ml.models import Algorithm
from ami.ml.post_processing.changes import Change, compare_derived
from ami.ml.post_processing.deriving import (
    CategoryMaps,
    Derived,
    Matrix,
    Source,
    Tally,
    derive,
    read_sources,
    softmax,
)
from ami.ml.post_processing.labels import LabelTaxa

SAME = 1e-9  # removed probability that does not count as a change
LIKELY_OFF_LIST = 0.9
MASKED_BY = "_filtered_by_taxa_list_"  # follows the key of the classifier in the key of the author


class Kept(NamedTuple):
    """The classes of a category map that are kept, and the hash of their labels."""

    classes: NDArray[np.bool_]
    key: str


def kept_classes(labels: LabelTaxa, listed: Collection[int]) -> Kept:
    """The classes whose taxon, or an ancestor of it, is in `listed`."""
    classes = labels.within(listed)
    names = [name for name, stays in zip(labels.labels, classes, strict=True) if stays]
    return Kept(classes, hashlib.sha256(json.dumps(names).encode()).hexdigest())


def standing(
    rows: ClassificationQuerySet, *, source_id: int, author: Algorithm | None
) -> ClassificationQuerySet:
    """The rows of algorithm `source_id` with logits that are current or whose masking is."""
    stands = Q(terminal=True) | has_result(author)
    return rows.filter(stands, algorithm=source_id, logits__isnull=False)


def has_result(
    author: Algorithm | None,
    *,
    kept_labels: Collection[str] | None = None,
    limit: float | None = None,
) -> Q:
    """Whether a row has a current result by `author`.

    If given, it must have one of `kept_labels`, and may have removed at most `limit`.
    """
    results = Classification.objects.filter(
        applied_to=OuterRef("pk"), algorithm=author, terminal=True
    )
    if kept_labels is not None:
        results = results.filter(metadata__kept_labels__in=kept_labels)
    if limit is not None:
        results = results.filter(metadata__removed_mass__lte=limit)
    return Q(Exists(results)) if author else Q(pk__in=[])


class Former(NamedTuple):
    """A current result: whether it kept other labels, and the probability that it removed."""

    kept_others: bool
    removed: float


def is_pending(former: Former | None, limit: float | None) -> bool:
    """Whether a source is to be masked: without a result, or with one that is outdated."""
    if former is None or former.kept_others:
        return True
    return limit is not None and former.removed > limit


class Masking:
    """Masks classifications of one algorithm by the taxa of a list.

    `listed` holds the ids of the taxa to keep, including all taxa below them. `author` is the
    algorithm of the results. Classifications of which the list removes more than the probability
    `limit` are left alone; a former result for one of them gives way to it again.
    """

    def __init__(
        self,
        *,
        listed: Collection[int],
        author: Algorithm,
        maps: CategoryMaps,
        tally: Tally,
        reweight: bool,
        only_when_taxon_changes: bool = False,
        limit: float | None = None,
    ) -> None:
        self.listed = listed
        self.author = author
        self.maps = maps
        self.tally = tally
        self.reweight = reweight
        self.only_when_taxon_changes = only_when_taxon_changes
        self.limit = limit
        self._kept: dict[LabelTaxa, Kept] = {}

    def kept(self, labels: LabelTaxa) -> Kept:
        if labels not in self._kept:
            self._kept[labels] = kept_classes(labels, self.listed)
        return self._kept[labels]

    def apply(
        self, rows: ClassificationQuerySet, *, source_id: int, job: Job | None = None
    ) -> set[int]:
        """Mask the `rows` of algorithm `source_id` that are current or whose result is outdated.

        Returns the ids of the occurrences whose classifications changed.
        """
        sources = read_sources(standing(rows, source_id=source_id, author=self.author), self.maps)
        former = self._former(sources)
        pending = [row for row in sources if is_pending(former.get(row.pk), self.limit)]
        self.tally.count(classifications_checked=len(pending))
        return derive(
            pending,
            partial(self._mask, former=former),
            vectors="logits",
            maps=self.maps,
            author=self.author,
            job=job,
            tally=self.tally,
        )

    def compare(
        self,
        rows: ClassificationQuerySet,
        *,
        source_id: int,
        limits: Sequence[float | None],
    ) -> Iterator[Change]:
        """What `apply` would change with each of these limits."""
        sources = read_sources(standing(rows, source_id=source_id, author=self.author), self.maps)
        former = self._former(sources)
        lowest = min((limit for limit in limits if limit is not None), default=None)
        portions = list(
            compare_derived(
                [row for row in sources if is_pending(former.get(row.pk), lowest)],
                partial(self._compared, former=former, limits=limits),
                vectors="logits",
                maps=self.maps,
                author=self.author,
                tally=self.tally,
            )
        )
        for number in range(len(limits)):
            yield Change.joined(portion[number] for portion in portions)

    def _former(self, sources: Sequence[Source]) -> dict[int, Former]:
        """The current results for the sources, by the ids of these."""
        results = Classification.objects.filter(
            applied_to__any_of={row.pk for row in sources}, algorithm=self.author, terminal=True
        )
        columns = ("metadata__kept_labels", "metadata__removed_mass")
        found = {pk: told for pk, *told in results.values_list("applied_to_id", *columns)}
        return {
            row.pk: Former(key != self.kept(labels).key, mass if isinstance(mass, float) else 0.0)
            for row in sources
            if row.pk in found and (labels := self.maps.get(row.category_map_id or 0))
            for key, mass in [found[row.pk]]
        }

    def _mask(
        self,
        labels: LabelTaxa,
        sources: Sequence[Source],
        logits: Matrix,
        *,
        former: Mapping[int, Former],
    ) -> Derived:
        classes, key = self.kept(labels)
        if not classes.any():
            ids = [row.pk for row in sources]
            reason = "no class of the category map is in the taxa list"
            self.tally.skip(reason, rows=len(ids), ids=ids)
            return Derived([], [], np.empty(0), [])
        masked = mask(logits, classes, reweight=self.reweight)
        self.tally.measured([row.detection_id for row in sources], masked.removed)
        portion = Portion.of(labels, sources, masked, former)
        chosen, restored, above = portion.decided(
            self.limit, only_when_taxon_changes=self.only_when_taxon_changes
        )
        if above:
            ids = [sources[place].pk for place in above]
            self.tally.skip("removed probability is above the limit", rows=len(ids), ids=ids)
        self.tally.count(
            classifications_masked=len(chosen),
            taxa_changed=int((portion.taxa != portion.present)[chosen].sum()),
            likely_off_list=int((masked.removed[chosen] > LIKELY_OFF_LIST).sum()),
        )
        return Derived(
            sources=[sources[place] for place in chosen],
            taxon_ids=portion.taxa[chosen].tolist(),
            score=masked.scores[chosen, masked.winners[chosen]],
            metadata=[_metadata(mass, key) for mass in masked.removed[chosen].tolist()],
            scores=[masked.scores[place] for place in chosen],
            keeps_logits=True,
            restored=[sources[place] for place in restored],
        )

    def _compared(
        self,
        labels: LabelTaxa,
        sources: Sequence[Source],
        logits: Matrix,
        *,
        former: Mapping[int, Former],
        limits: Sequence[float | None],
    ) -> Iterator[Change]:
        classes, _ = self.kept(labels)
        if not classes.any():
            yield from [Change.joined([])] * len(limits)
            return
        masked = mask(logits, classes, reweight=self.reweight)
        portion = Portion.of(labels, sources, masked, former)
        for limit in limits:
            chosen, restored, _ = portion.decided(
                limit, only_when_taxon_changes=self.only_when_taxon_changes
            )
            scores = masked.scores[chosen, masked.winners[chosen]]
            taxa = portion.taxa[chosen]
            yield Change.of(sources, chosen, taxa, scores, restored=restored)


class Decided(NamedTuple):
    """The places of the sources that get a result, that become current again instead of a former
    result, and that are left alone because of the limit."""

    chosen: list[int]
    restored: list[int]
    above: list[int]


class Portion(NamedTuple):
    """Masked sources of one category map, one entry each.

    `taxa` are the new taxa and `present` the present ones, 0 for none. `former_mass` is what a
    former result removed, NaN if there is none; `is_other` says that it kept other labels.
    """

    removed: Vector
    taxa: NDArray[np.int64]
    present: NDArray[np.int64]
    former_mass: Vector
    is_other: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        labels: LabelTaxa,
        sources: Sequence[Source],
        masked: "Masked",
        former: Mapping[int, Former],
    ) -> "Portion":
        none = Former(kept_others=False, removed=np.nan)
        found = [former.get(row.pk, none) for row in sources]
        return cls(
            masked.removed,
            np.array([pk or 0 for pk in labels.taxa])[masked.winners],
            np.array([row.taxon_id or 0 for row in sources], dtype=int),
            np.array([one.removed for one in found]),
            np.array([one.kept_others for one in found], dtype=bool),
        )

    def decided(self, limit: float | None, *, only_when_taxon_changes: bool) -> Decided:
        """What happens to each of the sources with this limit."""
        has_result = ~np.isnan(self.former_mass)
        above = np.zeros(len(self.removed), dtype=bool)
        stands = has_result & ~self.is_other
        if limit is not None:
            above = self.removed > limit
            stands &= ~(self.former_mass > limit)
        written = self.removed > SAME
        if only_when_taxon_changes:
            written &= self.taxa != self.present
        chosen = (written | has_result) & ~above & ~stands
        places = (chosen, has_result & above & ~stands, above & ~stands)
        return Decided(*(np.flatnonzero(one).tolist() for one in places))


def _metadata(removed_mass: float, key: str) -> dict[str, Any]:
    """The metadata of a result, with the names of the counters that warn of it."""
    told: dict[str, Any] = {"removed_mass": removed_mass, "kept_labels": key}
    return told | {"warnings": ["likely_off_list"]} if removed_mass > LIKELY_OFF_LIST else told


class Masked(NamedTuple):
    """The result, one row per classification.

    The new scores, the index of the best kept class, and the probability that was removed.
    """

    scores: Matrix
    winners: NDArray[np.intp]
    removed: Vector


def mask(logits: Matrix, kept: NDArray[np.bool_], *, reweight: bool) -> Masked:
    """The probabilities of `logits` restricted to the `kept` classes, at least one of them.

    If `reweight`, the softmax over the kept classes, else their values in the softmax over all
    classes. All other classes are exactly 0. The best class is the kept class with the highest
    logit; on a tie, the first.
    """
    full = softmax(logits)
    inside = logits[:, kept]
    scores = np.zeros_like(logits)
    scores[:, kept] = softmax(inside) if reweight else full[:, kept]
    winners = np.flatnonzero(kept)[inside.argmax(axis=1)]
    return Masked(scores, winners, full[:, ~kept].sum(axis=1))
