"""Species that an import has created and that have no place in the taxonomy."""

from collections.abc import Iterable

from django.contrib.admin.models import LogEntry
from django.db.models import CharField, Exists, OuterRef, QuerySet
from django.db.models.functions import Cast

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.models import Taxon, TaxonRank


def get_orphan_names(
    project_id: int | None = None,
    job_id: int | None = None,
    taxon_ids: Iterable[int] | None = None,
) -> QuerySet[Taxon]:
    """Species without a parent, an accepted name, a GBIF key, a list or an edit by a person.

    An import of occurrences has made them: a checklist puts its taxa into a list, and the admin
    records who has added a taxon.
    """
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
    )
    return in_scope(rows, project_id, job_id, taxon_ids)


PAIR = Pair(get_orphan_names)
reconcile_orphan_names = reconciler("reconcile_orphan_names", PAIR)

register(
    Check(
        key="orphan_name",
        title="Species known only from an import",
        severity=Severity.WARNING,
        tag=Tag.CATALOGUE,
        pairs=(PAIR,),
        meaning=(
            "The species has no parent and no GBIF key, and is in no taxa list. An import of "
            "occurrences has created it from a name in its file. Rank rollup cannot find its genus "
            "or family, and lists by genus or family do not include it."
        ),
        cause=(
            "The name is spelled differently in the checklist, or the occurrences were imported "
            "before the checklist."
        ),
        repair=None,
        limits=(
            "Import the checklist, or set the parent. If it is another spelling, make it a synonym "
            "of the correct taxon. A taxon that was edited in the admin is not reported any more. "
            "With a project, only taxa of that project are checked."
        ),
    )
)
