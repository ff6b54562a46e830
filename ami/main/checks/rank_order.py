"""Taxa whose rank and place in the taxonomy disagree."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.models import Taxon, TaxonRank

DISAGREES = reduce(
    or_,
    (
        Q(rank=rank, parent__rank__in=[one for one in TaxonRank if not rank.may_be_under(one)])
        for rank in TaxonRank
    ),
)


def get_taxa_of_another_rank(
    project_id: int | None = None,
    job_id: int | None = None,
    taxon_ids: Iterable[int] | None = None,
) -> QuerySet[Taxon]:
    """Taxa whose parent is of the same rank or a lower one."""
    return in_scope(Taxon.objects.filter(DISAGREES), project_id, job_id, taxon_ids)


PAIR = Pair(get_taxa_of_another_rank)
reconcile_taxa_of_another_rank = reconciler("reconcile_taxa_of_another_rank", PAIR)

register(
    Check(
        key="rank_order",
        title="Taxon under one of a lower rank",
        severity=Severity.WARNING,
        tag=Tag.CATALOGUE,
        pairs=(PAIR,),
        meaning=(
            "The parent of the taxon has the same rank or a lower one, such as a genus under a "
            "species. Rank rollup adds scores to the wrong taxon."
        ),
        cause="Rank or parent were set by hand, or come from a file without ranks.",
        repair=None,
        limits=(
            "Open the page of the taxon and correct its rank or its parent. Taxa of unknown rank "
            "are not compared. With a project, only taxa of that project are checked."
        ),
    )
)
