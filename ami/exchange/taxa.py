"""Writing of the names of a checklist.

An existing taxon keeps its values. Only missing ones are filled in: an UNKNOWN rank, its parent,
its accepted taxon, its GBIF key, and further search names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from ami.base import audit
from ami.base.words import counted
from ami.exchange.base import (
    ImportRefusedError,
    one_name,
    option_name,
    refresh_statistics,
    wait_for_turn,
)
from ami.exchange.taxa_file import ChecklistRow
from ami.exchange.taxa_plan import PlannedTaxon, TaxaPlan, plan_taxa
from ami.main.models import TaxaList, Taxon, TaxonRank
from ami.users.models import User

BATCH = 1000
FILLED = ("rank", "parent", "synonym_of", "gbif_taxon_key", "search_names", "updated_at")

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
    """The numbers of rows that an import added or filled in, and notes on its decisions."""

    created: int
    filled: int
    listed: int
    notes: list[str]


def import_taxa(
    rows: Iterable[ChecklistRow], *, list_name: str | None, user: User | None = None
) -> TaxaReport:
    """Add the names to the taxonomy, and the species with their synonyms to the list, if any.

    Runs in one transaction, with a bounded number of queries per thousand names. Raises
    ImportRefusedError if a taxon of another rank has a name, or if a taxon would become its own
    ancestor. The audit records `user`.
    """
    plan = plan_taxa(rows)
    with transaction.atomic():
        wait_for_turn("import_taxa")
        known = {row.name: row for row in Taxon.objects.filter(name__in=list(plan.taxa))}
        _check_ranks(plan, known)
        ids, filled = _write(plan, known)
        _refuse_loops(filled)
        species = [ids[name] for name in plan.species]
        listed = _add_to_list(list_name, species) if list_name is not None else 0
        created = len(plan.taxa) - len(known)
        if created or listed:
            refresh_statistics(Taxon, TaxaList.taxa.through)
        if listed:
            added = f"Imported {counted(listed, 'species', 'species')} from a file."
            lists = TaxaList.objects.filter(name=list_name)
            audit.record(lists, kind=audit.Kind.BULK_EDIT, user=user, message=added)
    return TaxaReport(created, len(filled), listed, plan.notes)


def _check_ranks(plan: TaxaPlan, known: dict[str, Taxon]) -> None:
    faults = [
        f"line {plan.taxa[name].line}: {name!r} is a {plan.taxa[name].rank.lower()} here and a "
        f"{row.rank.lower()} in the database; each name may be used for only one taxon."
        for name, row in known.items()
        if row.rank not in {plan.taxa[name].rank, TaxonRank.UNKNOWN}
    ]
    if faults:
        raise ImportRefusedError(*faults)


def _write(plan: TaxaPlan, known: dict[str, Taxon]) -> tuple[dict[str, int], list[int]]:
    """Return the id of every name, and the ids of existing rows that were filled in."""
    ids = {name: row.pk for name, row in known.items()}
    for generation in plan.generations():
        missing = [_new(taxon, ids) for taxon in generation if taxon.name not in known]
        Taxon.objects.bulk_create(missing, batch_size=BATCH)
        ids |= {row.name: row.pk for row in missing}
    filled = [row for name, row in known.items() if _fill(row, plan.taxa[name], ids)]
    Taxon.objects.bulk_update(filled, FILLED, batch_size=BATCH)
    return ids, [row.pk for row in filled]


def _new(taxon: PlannedTaxon, ids: dict[str, int]) -> Taxon:
    return Taxon(
        name=taxon.name,
        rank=taxon.rank,
        parent_id=ids[taxon.parent] if taxon.parent else None,
        synonym_of_id=ids[taxon.synonym_of] if taxon.synonym_of else None,
        gbif_taxon_key=taxon.gbif_key,
        search_names=sorted(taxon.search_names),
    )


def _fill(row: Taxon, taxon: PlannedTaxon, ids: dict[str, int]) -> bool:
    """Set the missing values of the row, and return whether there were any."""
    wanted = _new(taxon, ids)
    changes: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in ("parent_id", "synonym_of_id", "gbif_taxon_key")
        if getattr(row, name) is None and getattr(wanted, name) is not None
    }
    if row.rank != taxon.rank:
        changes["rank"] = taxon.rank
    if added := sorted(taxon.search_names - set(row.search_names)):
        changes["search_names"] = [*row.search_names, *added]
    for name, value in changes.items():
        setattr(row, name, value)
    if changes:
        row.updated_at = timezone.now()
    return bool(changes)


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


def _add_to_list(name: str, taxon_ids: list[int]) -> int:
    """Add the taxa to the list of that name, and return how many were new to it."""
    name = option_name("--list", name)
    known = list(TaxaList.objects.filter(name=name).order_by("pk"))
    one_name(known, noun="taxa list", name=name)
    taxa_list = known[0] if known else TaxaList.objects.create(name=name)
    missing = set(taxon_ids) - set(taxa_list.taxa.values_list("pk", flat=True))
    if missing:
        taxa_list.taxa.add(*sorted(missing))
        taxa_list.save(update_fields=["updated_at"])
    return len(missing)
