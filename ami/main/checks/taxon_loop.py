"""Taxa that are their own ancestors."""

from collections.abc import Iterable

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.expressions import loop_members
from ami.main.checks.repair import RepairContext, leave_to_a_person
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.models import Taxon


def get_taxa_in_a_loop(
    project_id: int | None = None,
    job_id: int | None = None,
    taxon_ids: Iterable[int] | None = None,
) -> QuerySet[Taxon]:
    """Taxa whose `parent` leads back to themselves."""
    loop = RawSQL(loop_members("main_taxon", "parent_id"), [])  # noqa: S611 -- a constant
    rows = Taxon.objects.filter(pk__in=loop)
    return in_scope(rows, project_id, job_id, taxon_ids)


def reconcile_taxon_loops(
    project_id: int | None = None,
    job_id: int | None = None,
    taxon_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Report them. Only a person knows which parent is wrong."""
    rows = get_taxa_in_a_loop(project_id, job_id, taxon_ids)
    return leave_to_a_person(rows, dry_run=dry_run)


register(
    Check(
        key="taxon_loop",
        title="Taxon that is its own ancestor",
        severity=Severity.ERROR,
        tag=Tag.CATALOGUE,
        pairs=(Pair(get_taxa_in_a_loop, reconcile_taxon_loops),),
        meaning=(
            "Following the parents of the taxon leads back to it, so it has no place in the "
            "taxonomy."
        ),
        cause="Parents were set by hand, or imported from two checklists that disagree.",
        repair=None,
        limits=(
            "Every taxon of the loop is found. Open their pages and correct one parent. With a "
            "project, only taxa of that project are checked."
        ),
    )
)
