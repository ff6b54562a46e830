"""The check of category maps: labels that match no taxon."""

from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from ami.base.ids import id_array
from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import chosen, in_scope
from ami.main.models import Classification
from ami.main.resolver import resolve_names
from ami.main.taxonomy import IMPORT_ALGORITHM
from ami.ml.models import Algorithm, AlgorithmCategoryMap

# Most labels match a taxon as they are written, by name, search name or GBIF key. The labels are
# compared as sets: looking up each label of a map would read the whole map for each of them.
UNRESOLVED = """
WITH label AS (
    SELECT m.id, l.name FROM ml_algorithmcategorymap m, unnest(m.labels) AS l (name)
), answered AS (
    SELECT label.id, name FROM label JOIN main_taxon USING (name)
    UNION ALL
    SELECT label.id, name FROM label
    JOIN (SELECT unnest(search_names) AS name FROM main_taxon) t USING (name)
    UNION ALL
    SELECT m.id, entry ->> 'label'
    FROM ml_algorithmcategorymap m, jsonb_path_query(m.data, '$[*]') AS entry
    JOIN main_taxon t ON t.gbif_taxon_key::text = regexp_replace(entry ->> 'gbif_key', '[.]0$', '')
)
SELECT id, name FROM (TABLE label EXCEPT TABLE answered) unmatched
"""


class _Unresolved(RawSQL):
    """The ids of category maps with an unresolved label, found when the query is executed."""

    def __init__(self) -> None:
        super().__init__("SELECT unnest(%s::bigint[])", [])

    def as_sql(self, *args: Any, **kwargs: Any) -> tuple[str, list[Any]]:
        return f"({self.sql})", [id_array(_unresolved())]


def _unresolved() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(UNRESOLVED)
        unmatched = cursor.fetchall()
    found = resolve_names({name for _, name in unmatched if name}).taxa if unmatched else {}
    return {pk for pk, name in unmatched if name not in found}


def get_category_maps_with_unresolved_labels(
    project_id: int | None = None,
    job_id: int | None = None,
    category_map_ids: Iterable[int] | None = None,
) -> QuerySet[AlgorithmCategoryMap]:
    """Category maps with a label that matches no taxon by name, search name or GBIF key.

    That of the imports is left out: it lists the labels of files, to which no vector refers, and
    the revert of an import removes the taxa of these labels.
    """
    of_imports = Algorithm.objects.filter(name=IMPORT_ALGORITHM, category_map__isnull=False)
    own = AlgorithmCategoryMap.objects.exclude(pk__in=of_imports.values("category_map"))
    maps = chosen(own, category_map_ids)
    if not (project_id is None and job_id is None):
        used = in_scope(Classification.objects.all(), project_id, job_id)
        maps = maps.filter(pk__in=used.values("category_map"))
    return maps.filter(pk__in=_Unresolved())


PAIR = Pair(get_category_maps_with_unresolved_labels)
reconcile_unresolved_labels = reconciler("reconcile_unresolved_labels", PAIR)

register(
    Check(
        key="unresolved_labels",
        title="Labels without a taxon",
        severity=Severity.WARNING,
        tag=Tag.CATALOGUE,
        pairs=(PAIR,),
        meaning=(
            "The category map has labels that match no taxon by name, search name or GBIF key. "
            "Class masking masks such a class, and rank rollup adds its score to no taxon."
        ),
        cause=(
            "The classifier was registered before its checklist was imported, or a name was "
            "changed."
        ),
        repair=None,
        limits=(
            "Import the checklist, or add the label to the search names of its taxon. With a "
            "project, only category maps of its classifications are checked. The one that lists "
            "the labels of imported files is not checked."
        ),
    )
)
