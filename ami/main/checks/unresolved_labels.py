"""Category maps with labels that no taxon answers to."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, leave_to_a_person
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import chosen, in_scope
from ami.main.models import Classification

if TYPE_CHECKING:
    from ami.ml.models import AlgorithmCategoryMap

# A label is answered by a name, a search name, or its GBIF key. As sets: looked up label by label,
# those of a map of thousands would read the whole map again for each.
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
) -> "QuerySet[AlgorithmCategoryMap]":
    """Those with a label that no taxon has as its name, search name or GBIF key."""
    maps: QuerySet[Any] = apps.get_model("ml", "AlgorithmCategoryMap")._default_manager.all()
    if not (project_id is None and job_id is None):
        used = in_scope(Classification.objects.all(), project_id, job_id)
        maps = maps.filter(pk__in=used.values("category_map"))
    maps = maps.filter(pk__in=RawSQL(UNRESOLVED, []))  # noqa: S611 -- a constant
    return chosen(maps, category_map_ids)


def reconcile_unresolved_labels(
    project_id: int | None = None,
    job_id: int | None = None,
    category_map_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Report them; which taxon is meant, a person knows."""
    rows = get_category_maps_with_unresolved_labels(project_id, job_id, category_map_ids)
    return leave_to_a_person(rows, dry_run=dry_run)


register(
    Check(
        key="unresolved_labels",
        title="Labels that no taxon answers to",
        severity=Severity.WARNING,
        tag=Tag.CATALOGUE,
        pairs=(Pair(get_category_maps_with_unresolved_labels, reconcile_unresolved_labels),),
        meaning=(
            "The category map has labels that are neither the name nor a search name of a taxon, "
            "nor have the GBIF key of one. Class masking masks such a class; rank rollup counts "
            "it for nobody."
        ),
        cause=(
            "A classifier that was registered before its checklist was imported; a name that was "
            "changed."
        ),
        repair=None,
        limits=(
            "Import the checklist, or add the label to the search names of the taxon that is "
            "meant. With a project, category maps are those that its classifications name."
        ),
    )
)
