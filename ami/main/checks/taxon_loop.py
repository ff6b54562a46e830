"""Taxa that are their own ancestors."""

from collections.abc import Iterable

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import loop_members
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


PAIR = Pair(get_taxa_in_a_loop)
reconcile_taxon_loops = reconciler("reconcile_taxon_loops", PAIR)

register(
    Check(
        key="taxon_loop",
        title="Taxon that is its own ancestor",
        severity=Severity.ERROR,
        tag=Tag.CATALOGUE,
        pairs=(PAIR,),
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
