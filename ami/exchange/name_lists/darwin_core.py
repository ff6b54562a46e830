"""Taxa in Darwin Core: a table with `scientificName` and any other terms of the class Taxon."""

import re

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


def name_accepted(rows: list[Row]) -> None:
    """Fill in the accepted names that are given only by the id of another row."""
    names = {row["taxonid"]: row["scientificname"] for row in rows if row.get("taxonid")}
    for row in rows:
        if not row.get("acceptednameusage"):
            row["acceptednameusage"] = names.get(row.get("acceptednameusageid", ""), "")


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
    "darwin_core", ListFormat("Darwin Core taxa", ("scientificname",), read, name_accepted)
)
