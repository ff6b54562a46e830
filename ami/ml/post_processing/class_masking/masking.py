"""The rule of class masking: how a classification changes when classes are excluded."""

import hashlib
import json
from collections.abc import Collection, Sequence
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


def has_result(author: Algorithm | None, *, kept_labels: Collection[str] | None = None) -> Q:
    """Whether a row has a current result by `author`; if given, with one of `kept_labels`."""
    results = Classification.objects.filter(
        applied_to=OuterRef("pk"), algorithm=author, terminal=True
    )
    if kept_labels is not None:
        results = results.filter(metadata__kept_labels__in=kept_labels)
    return Q(Exists(results)) if author else Q(pk__in=[])


class Masking:
    """Masks classifications of one algorithm by the taxa of a list.

    `listed` holds the ids of the taxa to keep, including all taxa below them. `author` is the
    algorithm of the results.
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
    ) -> None:
        self.listed = listed
        self.author = author
        self.maps = maps
        self.tally = tally
        self.reweight = reweight
        self.only_when_taxon_changes = only_when_taxon_changes
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
        outdated = self._outdated(sources)
        pending = [row for row in sources if outdated.get(row.pk, True)]
        self.tally.count(classifications_checked=len(pending))
        return derive(
            pending,
            partial(self._mask, outdated=outdated),
            vectors="logits",
            maps=self.maps,
            author=self.author,
            job=job,
            tally=self.tally,
        )

    def _outdated(self, sources: Sequence[Source]) -> dict[int, bool]:
        """For each source with a current result, whether that result kept other labels."""
        results = Classification.objects.filter(
            applied_to__any_of={row.pk for row in sources}, algorithm=self.author, terminal=True
        )
        keys = dict(results.values_list("applied_to_id", "metadata__kept_labels"))
        return {
            row.pk: keys[row.pk] != self.kept(labels).key
            for row in sources
            if row.pk in keys and (labels := self.maps.get(row.category_map_id or 0))
        }

    def _mask(
        self,
        labels: LabelTaxa,
        sources: Sequence[Source],
        logits: Matrix,
        *,
        outdated: Collection[int],
    ) -> Derived:
        classes, key = self.kept(labels)
        if not classes.any():
            ids = [row.pk for row in sources]
            reason = "no class of the category map is in the taxa list"
            self.tally.skip(reason, rows=len(ids), ids=ids)
            return Derived([], [], np.empty(0), [])
        masked = mask(logits, classes, reweight=self.reweight)
        self.tally.measured([row.detection_id for row in sources], masked.removed)
        taxa = np.array([pk or 0 for pk in labels.taxa])[masked.winners]
        former = np.array([row.taxon_id or 0 for row in sources], dtype=int)
        written = masked.removed > SAME
        if self.only_when_taxon_changes:
            written &= taxa != former
        written |= np.array([row.pk in outdated for row in sources], dtype=bool)
        chosen = np.flatnonzero(written).tolist()
        self.tally.count(
            classifications_masked=len(chosen),
            taxa_changed=int((taxa != former)[chosen].sum()),
            likely_off_list=int((masked.removed[chosen] > LIKELY_OFF_LIST).sum()),
        )
        return Derived(
            sources=[sources[place] for place in chosen],
            taxon_ids=taxa[chosen].tolist(),
            score=masked.scores[chosen, masked.winners[chosen]],
            metadata=[_metadata(mass, key) for mass in masked.removed[chosen].tolist()],
            scores=[masked.scores[place] for place in chosen],
            keeps_logits=True,
        )


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
