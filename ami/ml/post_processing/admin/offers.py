"""The choices that a form offers for a selection, with the number of rows for each."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Count, Q, QuerySet

from ami.base.postgresql import through_indexes
from ami.base.words import counted
from ami.main.models import Classification, TaxaList
from ami.main.taxonomy import Taxonomy
from ami.ml.models import Algorithm
from ami.ml.post_processing.class_masking.masking import MASKED_BY
from ami.ml.post_processing.labels import read_label_taxa
from ami.ml.post_processing.scopes import SCOPES

LIMIT = 100_000


def every(rows: QuerySet[Any]) -> list[tuple[int, str]]:
    """Choices for a form that is drawn without a selection."""
    return [(row.pk, str(row)) for row in rows.order_by("name", "pk")]


@dataclass(frozen=True)
class Offer:
    """The current classifications of a selection that a method can use.

    `counts` holds their number for each algorithm and taxon; `masked` holds, for each classifier,
    how many of its classifications masking has superseded. If the selection has more than
    `LIMIT` detections, only that many are read, and `is_part` is true.
    """

    counts: Mapping[tuple[int, int | None], int]
    masked: Mapping[int, int]
    is_part: bool
    project_ids: frozenset[int]

    @classmethod
    def of(cls, selection: QuerySet[Any], condition: Q, *, with_masked: bool = False) -> "Offer":
        """With `with_masked`, also offer the classifiers whose classifications were masked."""
        scope = next(scope for scope in SCOPES if scope.model is selection.model)
        projects = dict(selection.order_by().values_list("pk", "project_id"))
        detections = scope.detections(list(projects)).values("pk")
        with through_indexes():
            is_part = detections[: LIMIT + 1].count() > LIMIT
            grouped = _grouped(condition, detections[:LIMIT])
        counts: Counter[tuple[int, int | None]] = Counter()
        masked: Counter[int] = Counter()
        for algorithm, key, source, source_key, taxon, number in grouped:
            counts[algorithm, taxon] += number
            if with_masked and source_key and key.startswith(source_key + MASKED_BY):
                masked[source] += number
        return cls(counts, masked, is_part, frozenset(filter(None, projects.values())))

    @cached_property
    def algorithms(self) -> list[Algorithm]:
        """The algorithms of these rows. If `is_part`, also those that may have more rows."""
        ids = {algorithm for algorithm, _ in self.counts} | set(self.masked)
        fitting = Q(pk__in=ids)
        if self.is_part:
            fitting |= Q(category_map__isnull=False)
        rows = Algorithm.objects.filter(fitting).select_related("category_map")
        return list(rows.order_by("name", "version"))

    def algorithm_choices(self) -> list[tuple[int, str]]:
        totals: Counter[int] = Counter()
        for (algorithm, _), number in self.counts.items():
            totals[algorithm] += number
        return [
            (one.pk, f"{one}: {self._rows(totals[one.pk])}{self._masked_before(one)}")
            for one in self.algorithms
        ]

    def list_choices(self) -> list[tuple[int, str]]:
        """The lists, of the selection's projects or of no project, that hold a class."""
        maps = {one.category_map_id: one.category_map for one in self.algorithms}
        labels = [read_label_taxa(one) for one in maps.values() if one]
        listed = _listed(TaxaList.objects.filter(self._in_reach()).distinct())
        taxa = {taxon for _, taxon in self.counts if taxon}
        taxonomy = Taxonomy.above(taxa)
        lineages = {pk: taxonomy.lineage(taxonomy.accepted(pk)) for pk in taxa}
        return [
            (one.pk, f"{one}: {self._outside(self._off(members, lineages))}")
            for one, members in listed.items()
            if any(one_map.within(members).any() for one_map in labels)
        ]

    def _in_reach(self) -> Q:
        return Q(projects__in=self.project_ids) | Q(projects=None)

    def _off(self, listed: frozenset[int], lineages: Mapping[int, list[int]]) -> int:
        return sum(
            number
            for (_, taxon), number in self.counts.items()
            if taxon and listed.isdisjoint(lineages[taxon])
        )

    def _masked_before(self, algorithm: Algorithm) -> str:
        number = self.masked.get(algorithm.pk)
        return f", {number:,} masked before" if number else ""

    def _outside(self, number: int) -> str:
        verb = "names a taxon" if number == 1 else "name taxa"
        return f"{self._rows(number)} {verb} outside the list"

    def _rows(self, number: int) -> str:
        more = "at least " if self.is_part else ""
        return f"{more}{counted(number, 'classification')}"


def _grouped(condition: Q, detections: QuerySet[Any, Any]) -> list[tuple[Any, ...]]:
    has_map = Q(category_map__isnull=False) | Q(algorithm__category_map__isnull=False)
    rows = Classification.objects.filter(
        condition, has_map, detection__in=detections, terminal=True
    )
    columns = (
        "algorithm",
        "algorithm__key",
        "applied_to__algorithm",
        "applied_to__algorithm__key",
        "taxon",
    )
    return list(rows.exclude(algorithm=None).values_list(*columns).annotate(Count("pk")))


def _listed(lists: QuerySet[TaxaList]) -> dict[TaxaList, frozenset[int]]:
    """The taxa of each list, including the accepted taxa of its synonyms."""
    pairs = TaxaList.taxa.through.objects.filter(taxalist__in=lists.values("pk"))
    members: defaultdict[int, set[int]] = defaultdict(set)
    for list_id, taxon_id in pairs.values_list("taxalist_id", "taxon_id"):
        members[list_id].add(taxon_id)
    taxonomy = Taxonomy.above(set().union(*members.values()))
    return {
        one: frozenset(members[one.pk]) | {taxonomy.accepted(pk) for pk in members[one.pk]}
        for one in lists.order_by("name", "pk")
    }
