"""Species that an import made and that nobody has placed in the taxonomy."""

from collections.abc import Iterable

from django.contrib.admin.models import LogEntry
from django.db.models import CharField, Exists, OuterRef, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, leave_to_a_person
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.importers.occurrence_parents import ALGORITHM
from ami.main.models import Taxon, TaxonRank

# Imports name the taxa that they make after the labels of one category map.
LABELS = """
SELECT unnest(m.labels) FROM ml_algorithm a
JOIN ml_algorithmcategorymap m ON m.id = a.category_map_id WHERE a.name = %s
"""


def get_orphan_names(
    project_id: int | None = None,
    job_id: int | None = None,
    taxon_ids: Iterable[int] | None = None,
) -> QuerySet[Taxon]:
    """Species without a parent that an import has made, and that no list and no person knows of."""
    edits = LogEntry.objects.filter(
        content_type__app_label="main",
        content_type__model="taxon",
        object_id=Cast(OuterRef("pk"), CharField()),
    )
    rows = Taxon.objects.filter(
        ~Exists(edits),
        rank=TaxonRank.SPECIES,
        parent=None,
        synonym_of=None,
        gbif_taxon_key=None,
        lists=None,
        name__in=RawSQL(LABELS, [ALGORITHM]),  # noqa: S611 -- a constant
    )
    return in_scope(rows, project_id, job_id, taxon_ids)


def reconcile_orphan_names(
    project_id: int | None = None,
    job_id: int | None = None,
    taxon_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Report them; where they belong, a checklist or a person knows."""
    return leave_to_a_person(get_orphan_names(project_id, job_id, taxon_ids), dry_run=dry_run)


register(
    Check(
        key="orphan_name",
        title="Name that only an import knows",
        severity=Severity.WARNING,
        tag=Tag.CATALOGUE,
        pairs=(Pair(get_orphan_names, reconcile_orphan_names),),
        meaning=(
            "The species has no parent, no GBIF key and is in no taxa list: an import of "
            "occurrences made it from a label, and nobody has placed it since. Rank rollup cannot "
            "go up from it, and lists by genus or family leave it out."
        ),
        cause=(
            "A label that is spelled otherwise than in the checklist, or an import before the "
            "checklist."
        ),
        repair=None,
        limits=(
            "Import the checklist, or set the parent; where it is another spelling, make it a "
            "synonym of the right taxon. A taxon that somebody has edited in the admin is no "
            "longer found. With a project, taxa are those that are listed for it."
        ),
    )
)
