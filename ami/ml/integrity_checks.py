"""The check of category maps: labels that match no taxon."""

from collections.abc import Iterable

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import chosen, in_scope
from ami.main.models import Classification
from ami.ml.models import AlgorithmCategoryMap

# A label matches a taxon by name, search name or GBIF key. The labels are compared as sets:
# looking up each label of a map would read the whole map for each of them.
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
SELECT id FROM (TABLE label EXCEPT TABLE answered) unresolved
"""


def get_category_maps_with_unresolved_labels(
    project_id: int | None = None,
    job_id: int | None = None,
    category_map_ids: Iterable[int] | None = None,
) -> QuerySet[AlgorithmCategoryMap]:
    """Category maps with a label that matches no taxon by name, search name or GBIF key."""
    maps = AlgorithmCategoryMap.objects.all()
    if not (project_id is None and job_id is None):
        used = in_scope(Classification.objects.all(), project_id, job_id)
        maps = maps.filter(pk__in=used.values("category_map"))
    maps = maps.filter(pk__in=RawSQL(UNRESOLVED, []))  # noqa: S611 -- a constant
    return chosen(maps, category_map_ids)


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
            "project, only category maps of its classifications are checked."
        ),
    )
)
