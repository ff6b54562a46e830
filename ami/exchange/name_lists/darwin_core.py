"""Taxa in Darwin Core: a table with `scientificName` and any other terms of the class Taxon."""

import re
from collections.abc import Iterator, Mapping

from ami.exchange.name_lists.base import (
    LIST_FORMATS,
    ListedName,
    ListFormat,
    Read,
    Row,
    SkippedName,
    Status,
    check_name,
    read_rank,
    read_status,
    taxa_above,
)
from ami.main.models import TaxonRank
from ami.main.names import read_name

HIGHER = {
    TaxonRank.KINGDOM: "kingdom",
    TaxonRank.PHYLUM: "phylum",
    TaxonRank.CLASS: "class",
    TaxonRank.ORDER: "order",
    TaxonRank.SUPERFAMILY: "superfamily",
    TaxonRank.FAMILY: "family",
    TaxonRank.SUBFAMILY: "subfamily",
    TaxonRank.TRIBE: "tribe",
    TaxonRank.SUBTRIBE: "subtribe",
    TaxonRank.GENUS: "genus",
}
GBIF_ID = re.compile(r"(?:gbif:|https?://(?:www\.)?gbif\.org/species/)([0-9]{1,18})")


READ = (
    *("taxonid", "scientificname", "acceptednameusageid", "acceptednameusage"),
    *("parentnameusageid", "taxonrank", "taxonomicstatus", "vernacularname", *HIGHER.values()),
)


def fill_in(rows: list[Row]) -> None:
    """Fill in accepted names, and taxa above, that are given only by the ids of other rows."""
    known = {row["taxonid"]: row for row in rows if row.get("taxonid")}
    for row in rows:
        accepted = known.get(row.get("acceptednameusageid", ""))
        if not row.get("acceptednameusage"):
            row["acceptednameusage"] = accepted["scientificname"] if accepted else ""
        for column, name in _above(accepted or row, known):
            if not row.get(column):
                row[column] = name


def _above(row: Row, known: Mapping[str, Row]) -> Iterator[tuple[str, str]]:
    """Yield the columns and the names of the parents, of their parents, and so on."""
    seen = {id(row)}
    while (parent := known.get(row.get("parentnameusageid", ""))) and id(parent) not in seen:
        seen.add(id(parent))
        row = parent
        rank = read_rank(row.get("taxonrank", ""))
        if rank in HIGHER:
            yield HIGHER[rank], row["scientificname"]


def read(place: str, row: Row) -> Read:
    name = check_name("scientificName", row["scientificname"])
    status = read_status(row.get("taxonomicstatus", ""))
    if not isinstance(status, Status):
        return SkippedName(place, name, status)
    rank = read_rank(row.get("taxonrank", ""))
    above = taxa_above(row, HIGHER, below=rank or read_name(name).rank)
    accepted = row["acceptednameusage"]
    if accepted and read_name(accepted).key != read_name(name).key:
        check_name("acceptedNameUsage", accepted)
    elif status == Status.SYNONYM:
        return SkippedName(place, name, "is a synonym without an accepted name; skipped.")
    else:
        accepted = ""
    return ListedName(
        place,
        name,
        status=Status.SYNONYM if accepted else Status.ACCEPTED,
        rank=rank,
        accepted=accepted,
        key=_key(row.get("taxonid", "")),
        accepted_key=_key(row.get("acceptednameusageid", "")),
        above=above,
        spellings=tuple(filter(None, [row.get("vernacularname", "")])),
    )


def _key(taxon_id: str) -> int | None:
    found = GBIF_ID.fullmatch(taxon_id)
    return int(found[1]) if found else None


LIST_FORMATS.register(
    "darwin_core", ListFormat("Darwin Core taxa", ("scientificname",), read, fill_in)
)
