# ruff: noqa: S608  (composed of constants)
"""The rows of shared tables that a copy needs: people, and for one project names and models."""

from ami.base.ids import id_array
from ami.exchange.antenna_database.selection import Selection
from ami.exchange.antenna_database.tables import (
    ALGORITHMS,
    BY_NAME,
    CATEGORY_MAPS,
    CLASSIFICATIONS,
    DETECTIONS,
    IDENTIFICATIONS,
    MEMBERSHIPS,
    OCCURRENCES,
    PROJECTS,
    TAXA,
    USERS,
    Table,
)

# `UNION` drops rows that were seen before, so that the walk also ends in a loop.
ABOVE = """
WITH RECURSIVE up (id) AS (
    SELECT unnest('{ids}'::bigint[])
    UNION
    SELECT link.id FROM up JOIN main_taxon t ON t.id = up.id,
           LATERAL (VALUES (t.parent_id), (t.synonym_of_id)) AS link (id)
    WHERE link.id IS NOT NULL
)
SELECT id FROM up
"""
NAMED = """
SELECT t.id FROM main_taxon t WHERE t.name IN (
    SELECT unnest(m.labels) FROM ml_algorithmcategorymap m WHERE m.id = ANY('{ids}')
)
"""


def find_needs(selection: Selection) -> None:
    """Set `needed` of the selection.

    Of one project, these are the algorithms of its rows, with their category maps, and the taxa of
    its rows, lists and labels, with those above them.
    """
    needed = selection.needed
    if selection.project is not None:
        needed[ALGORITHMS.name] = _used(
            selection,
            (DETECTIONS, "detection_algorithm_id"),
            (CLASSIFICATIONS, "algorithm_id"),
        )
        needed[CATEGORY_MAPS.name] = _used(
            selection, (CLASSIFICATIONS, "category_map_id"), (ALGORITHMS, "category_map_id")
        )
        needed[TAXA.name] = _taxa(selection)
    needed[USERS.name] = _used(
        selection, (PROJECTS, "owner_id"), (MEMBERSHIPS, "user_id"), (IDENTIFICATIONS, "user_id")
    )


def _taxa(selection: Selection) -> set[int]:
    found = _used(
        selection,
        (CLASSIFICATIONS, "taxon_id"),
        (OCCURRENCES, "determination_id"),
        (IDENTIFICATIONS, "taxon_id"),
        (BY_NAME["main_taxon_projects"], "taxon_id"),
        (BY_NAME["main_taxalist_taxa"], "taxon_id"),
    )
    maps = id_array(selection.needed[CATEGORY_MAPS.name])
    found |= _ids(selection, NAMED.format(ids=maps))
    return _ids(selection, ABOVE.format(ids=id_array(found)))


def _used(selection: Selection, *columns: tuple[Table, str]) -> set[int]:
    """The ids in these columns of the rows that are copied."""
    found: set[int] = set()
    for table, column in columns:
        found |= _ids(
            selection,
            f"SELECT DISTINCT s.{column} FROM {table.antenna_name} s "
            f"WHERE {selection.candidates(table)}",
        )
    return found


def _ids(selection: Selection, statement: str) -> set[int]:
    return {pk for (pk,) in selection.source.rows(statement) if pk is not None}
