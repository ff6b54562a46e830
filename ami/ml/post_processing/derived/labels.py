"""Which taxa the labels of a category map stand for, and what lies above them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from django.db.models import F
from django.db.models.lookups import IsNull
from numpy.typing import NDArray

from ami.base.ids import parse_id
from ami.main.models import Taxon
from ami.ml.models import AlgorithmCategoryMap

# `UNION` drops what was seen, so that the walk ends in a loop of parents or synonyms, too.
LINKS = """
WITH RECURSIVE up (id) AS (
    SELECT unnest(%s::bigint[])
    UNION
    SELECT link.id FROM up JOIN main_taxon t ON t.id = up.id,
           LATERAL (VALUES (t.parent_id), (t.synonym_of_id)) AS link (id)
    WHERE link.id IS NOT NULL
)
SELECT t.id, t.rank, t.parent_id, t.synonym_of_id FROM up JOIN main_taxon t ON t.id = up.id
"""

SEARCH = """
SELECT searched.name, t.id FROM main_taxon t, unnest(t.search_names) AS searched (name)
WHERE t.search_names <> '{}' AND searched.name = ANY(%s)
ORDER BY t.synonym_of_id IS NOT NULL, t.id
"""


class Links(NamedTuple):
    """The rank of a taxon, and the taxa that it leads to."""

    rank: str
    parent: int | None
    synonym_of: int | None


class Taxonomy(dict[int, Links]):
    """Taxa by id, with all that their parents and accepted names lead to."""

    @classmethod
    def above(cls, taxon_ids: Collection[int]) -> "Taxonomy":
        """Read those taxa and what they lead to, in one query."""
        with connection.cursor() as cursor:
            cursor.execute(LINKS, [list(taxon_ids)])
            return cls({pk: Links(*links) for pk, *links in cursor.fetchall()})

    def accepted(self, taxon_id: int) -> int:
        """The taxon that a synonym stands for; itself where its synonyms run in a loop."""
        seen = [taxon_id]
        while (following := self[seen[-1]].synonym_of) is not None:
            if following in seen:
                return taxon_id
            seen.append(following)
        return seen[-1]

    def lineage(self, taxon_id: int) -> list[int]:
        """The taxon and its ancestors, nearest first."""
        found: dict[int, None] = {}
        following: int | None = taxon_id
        while following is not None and following not in found:
            found[following] = None
            following = self[following].parent
        return list(found)


@dataclass(frozen=True, eq=False)
class LabelTaxa:
    """The labels of a category map, in the order of its scores, and their taxa.

    `taxa` holds an id a label, None for one that stands for no taxon.
    """

    labels: Sequence[str]
    taxa: Sequence[int | None]
    taxonomy: Taxonomy

    @property
    def unresolved(self) -> list[str]:
        """The labels that stand for no taxon, as they can be told; a blank one is quoted."""
        pairs = zip(self.labels, self.taxa, strict=True)
        return [
            label if label and label.strip() else repr(label)
            for label, taxon in pairs
            if taxon is None
        ]

    @cached_property
    def lineages(self) -> list[list[int]]:
        """For each label, its taxon and the ancestors of that, nearest first."""
        return [[] if taxon is None else self.taxonomy.lineage(taxon) for taxon in self.taxa]

    def within(self, taxon_ids: Collection[int]) -> NDArray[np.bool_]:
        """Whether each label's taxon, or an ancestor of it, is one of `taxon_ids`."""
        return np.array([any(pk in taxon_ids for pk in line) for line in self.lineages], dtype=bool)

    def at_rank(self, rank: str) -> list[int | None]:
        """For each label, the nearest taxon of that rank that it stands for or lies under."""
        return [
            next((pk for pk in line if self.taxonomy[pk].rank == rank), None)
            for line in self.lineages
        ]


def read_label_taxa(category_map: AlgorithmCategoryMap) -> LabelTaxa:
    """Resolve every label: by name, then by GBIF key, then by search name.

    A synonym stands for its accepted taxon. Where several taxa bear a key or a search name, it is
    the accepted one of the lowest id, or else the synonym of the lowest id.
    """
    labels = category_map.labels
    found = dict(Taxon.objects.filter(name__in=set(labels)).values_list("name", "pk"))
    found = _by_key(category_map, without=found) | found
    found = _by_search_name(set(labels) - set(found)) | found
    taxonomy = Taxonomy.above(set(found.values()))
    taxa = [taxonomy.accepted(found[label]) if label in found else None for label in labels]
    return LabelTaxa(labels, taxa, taxonomy)


def listed_taxa(taxon_ids: Collection[int]) -> frozenset[int]:
    """Those taxa, and the accepted ones of the synonyms among them."""
    taxonomy = Taxonomy.above(taxon_ids)
    return frozenset(taxon_ids) | {taxonomy.accepted(pk) for pk in taxon_ids}


def _by_key(category_map: AlgorithmCategoryMap, *, without: Collection[str]) -> dict[str, int]:
    data = category_map.data if isinstance(category_map.data, list) else []
    entries = [entry for entry in data if isinstance(entry, dict)]
    keys = {
        label: key
        for label, key in ((e.get("label"), _key(e.get("gbif_key"))) for e in entries)
        if isinstance(label, str) and label not in without and key is not None
    }
    rows = Taxon.objects.filter(gbif_taxon_key__in=set(keys.values()))
    rows = rows.order_by(IsNull(F("synonym_of"), False), "pk")
    bearers = _first(rows.values_list("gbif_taxon_key", "pk"))
    return {label: bearers[key] for label, key in keys.items() if key in bearers}


def _key(written: Any) -> int | None:
    """Tables with gaps are often exported with 7.0 for 7."""
    return parse_id(str(written).removesuffix(".0"))


def _by_search_name(labels: Collection[str]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(SEARCH, [list(labels)])
        return _first(cursor.fetchall())


def _first(pairs: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for name, pk in pairs:
        found.setdefault(name, pk)
    return found
