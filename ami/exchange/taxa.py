"""Writing of the taxa of a name list.

By default an existing taxon keeps its values. Only missing ones are filled in: an UNKNOWN rank, its
parent, its accepted taxon, its GBIF key, and further search names.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone

from ami.base import audit
from ami.base.models import change_rows
from ami.base.words import counted
from ami.exchange.base import (
    ImportRefusedError,
    one_name,
    option_name,
    refresh_statistics,
    wait_for_turn,
)
from ami.exchange.coverage import Coverage, get_coverage
from ami.exchange.name_lists.base import ListedName, SkippedName
from ami.exchange.plan import Change, ImportPlan, Outcome
from ami.exchange.taxa_compare import LABELS, Comparison, Known
from ami.exchange.taxa_plan import WantedTaxon, want_taxa
from ami.main.models import Project, TaxaList, Taxon
from ami.users.models import User

BATCH = 1000
OF_LIST = "--list"  # the place of the taxa list in a plan
RELATIONS = {"parent": "parent_id", "synonym_of": "synonym_of_id"}
CHANGED = ("name", "rank", "parent", "synonym_of", "gbif_taxon_key", "search_names", "updated_at")

# `UNION` drops rows that were seen before, so that the walk also ends in a loop.
LOOPS = """
WITH RECURSIVE up (start, id) AS (
    SELECT id, {column} FROM main_taxon WHERE id = ANY(%(ids)s)
    UNION
    SELECT up.start, t.{column} FROM up JOIN main_taxon t ON t.id = up.id
)
SELECT t.name FROM up JOIN main_taxon t ON t.id = up.start WHERE up.start = up.id ORDER BY t.name
"""


@dataclass
class TaxaReport:
    """The plan of an import, the number of taxa that were new to the list, and the classifiers."""

    plan: ImportPlan
    listed: int
    coverage: list[Coverage]


def import_taxa(
    names: Iterable[ListedName],
    *,
    list_name: str | None,
    skipped: Iterable[SkippedName] = (),
    project: Project | None = None,
    user: User | None = None,
    update: bool = False,
) -> TaxaReport:
    """Add the names to the taxonomy, and the listed ones to the taxa list, if any.

    With `update`, values of existing taxa that differ are changed; otherwise they are only told.
    With a `project`, its list of that name is used, or a shared one, and a new one belongs to it.
    Runs in one transaction, with a bounded number of queries per thousand names. Raises
    ImportRefusedError if a taxon of another rank has a name, or if a taxon would become its own
    ancestor. The audit records `user`.
    """
    plan = ImportPlan(kept=None)
    for row in skipped:
        plan.add(Outcome.SKIPPED, Taxon, row.name, row.place, reason=row.reason)
    wanted = want_taxa(names, plan)
    with transaction.atomic():
        wait_for_turn("import_taxa")
        compared = Comparison(wanted, Known(wanted), plan, update=update).run()
        ids = _write(compared)
        _record_overwritten(compared, user)
        if list_name is None:
            return TaxaReport(plan, 0, [])
        taxon_ids = [ids[key] for key, taxon in wanted.taxa.items() if taxon.listed]
        taxa_list, listed = _add_to_list(list_name, project, taxon_ids, plan)
        if plan.writes:
            refresh_statistics(Taxon, TaxaList.taxa.through)
        if listed:
            added = f"Imported {counted(listed, 'taxon', 'taxa')} from a file."
            lists = TaxaList.objects.filter(pk=taxa_list.pk)
            audit.record(lists, kind=audit.Kind.BULK_EDIT, user=user, message=added)
        return TaxaReport(plan, listed, get_coverage(taxa_list))


def _write(compared: Comparison) -> dict[str, int]:
    """Write what the comparison found, and return the id of every taxon by the key of its name."""
    ids, known = dict(compared.known.by_key), compared.known.rows
    for generation in compared.wanted.generations():
        missing = {key: _new(taxon, ids) for key, taxon in generation if key not in ids}
        Taxon.objects.bulk_create(missing.values(), batch_size=BATCH)
        ids |= {key: row.pk for key, row in missing.items()}
    changed = [known[ids[key]] for key in compared.changes]
    for row, fields in zip(changed, compared.changes.values(), strict=True):
        for one in fields:
            relation = RELATIONS.get(one.name)
            value = ids[one.new] if relation and one.new is not None else one.new
            setattr(row, relation or one.name, value)
        row.updated_at = timezone.now()
    change_rows(changed, CHANGED)
    _refuse_loops([row.pk for row in changed])
    return ids


def _record_overwritten(compared: Comparison, user: User | None) -> None:
    """Record which fields of which taxa no longer have the values that they had."""
    fields: defaultdict[str, list[Taxon]] = defaultdict(list)
    for key, changed in compared.changes.items():
        names = [LABELS[one.name] for one in changed if not one.is_missing]
        if names:
            fields[", ".join(names)].append(compared.known.rows[compared.known.by_key[key]])
    for names_of_fields, rows in fields.items():
        message = f"Changed {names_of_fields} from a file."
        audit.record(rows, kind=audit.Kind.BULK_EDIT, user=user, message=message)


def _new(taxon: WantedTaxon, ids: dict[str, int]) -> Taxon:
    return Taxon(
        name=taxon.name,
        rank=taxon.rank,
        parent_id=ids[taxon.parent] if taxon.parent else None,
        synonym_of_id=ids[taxon.synonym_of] if taxon.synonym_of else None,
        gbif_taxon_key=taxon.gbif_key,
        search_names=sorted(taxon.spellings),
    )


def _refuse_loops(ids: list[int]) -> None:
    """Refuse loops. Only existing rows can close one, because no row referred to the new ones."""
    faults = []
    for column, noun in (("parent_id", "ancestor"), ("synonym_of_id", "accepted name")):
        with connection.cursor() as cursor:
            cursor.execute(LOOPS.format(column=column), {"ids": ids})
            faults += [
                f"{name!r} would become its own {noun}; correct it in the database first."
                for (name,) in cursor.fetchall()
            ]
    if faults:
        raise ImportRefusedError(*faults)


def lists_named(name: str, project: Project | None) -> list[TaxaList]:
    """Return the taxa lists of a name: those of a project and shared ones, or all of them."""
    lists = TaxaList.objects.filter(name=name.strip()).order_by("pk")
    return list(lists.of_projects(frozenset({project.pk})) if project else lists)


def _add_to_list(
    name: str, project: Project | None, taxon_ids: list[int], plan: ImportPlan
) -> tuple[TaxaList, int]:
    """Add the taxa to the list of that name, and return it, and how many were new to it."""
    name = option_name("--list", name)
    known = lists_named(name, project)
    one_name(known, noun="taxa list", name=name)
    taxa_list = known[0] if known else TaxaList.objects.create(name=name)
    if project and not known:
        taxa_list.projects.add(project)
    before = set(taxa_list.taxa.values_list("pk", flat=True))
    missing = set(taxon_ids) - before
    if missing:
        taxa_list.taxa.add(*sorted(missing))
        taxa_list.save(update_fields=["updated_at"])
    outcome = Outcome.UNCHANGED if known and not missing else Outcome.CHANGED
    plan.add(
        outcome if known else Outcome.CREATED,
        TaxaList,
        name,
        OF_LIST,
        changes=[Change("taxa", len(before), len(before | missing))] if missing else (),
    )
    return taxa_list, len(missing)
