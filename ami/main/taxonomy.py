"""The ancestors of taxa: their parents, and the accepted names of synonyms."""

from collections.abc import Collection
from typing import NamedTuple

from django.db import connection

# The algorithm whose category map holds the labels that an occurrence export named.
IMPORT_ALGORITHM = "Labels of occurrence exports"

# `UNION` drops rows that were seen before, so that the walk also ends in a loop.
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


class Links(NamedTuple):
    """The rank of a taxon, and the ids of its parent and accepted taxon."""

    rank: str
    parent: int | None
    synonym_of: int | None


class Taxonomy(dict[int, Links]):
    """Taxa by id, with all of their ancestors and accepted names."""

    @classmethod
    def above(cls, taxon_ids: Collection[int]) -> "Taxonomy":
        """Read these taxa, their ancestors and accepted names in one query."""
        with connection.cursor() as cursor:
            cursor.execute(LINKS, [list(taxon_ids)])
            return cls({pk: Links(*links) for pk, *links in cursor.fetchall()})

    def accepted(self, taxon_id: int) -> int:
        """Return the accepted taxon of a synonym, or `taxon_id` if the synonyms form a loop."""
        seen = [taxon_id]
        while (following := self[seen[-1]].synonym_of) is not None:
            if following in seen:
                return taxon_id
            seen.append(following)
        return seen[-1]

    def lineage(self, taxon_id: int) -> list[int]:
        """Return the taxon and its ancestors, nearest first."""
        found: dict[int, None] = {}
        following: int | None = taxon_id
        while following is not None and following not in found:
            found[following] = None
            following = self[following].parent
        return list(found)
