"""The species list of a GBIF download: the names of all occurrences, with their accepted taxa."""

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
from ami.main.names import read_key, read_name

COLUMNS = (
    *("taxonkey", "scientificname", "acceptedtaxonkey", "acceptedscientificname", "taxonrank"),
    *("taxonomicstatus", "kingdom", "phylum", "class", "order", "family", "genus", "species"),
)
HIGHER = {
    TaxonRank.KINGDOM: "kingdom",
    TaxonRank.PHYLUM: "phylum",
    TaxonRank.CLASS: "class",
    TaxonRank.ORDER: "order",
    TaxonRank.FAMILY: "family",
    TaxonRank.GENUS: "genus",
    TaxonRank.SPECIES: "species",
}


def read(place: str, row: Row) -> Read:
    name = check_name("scientificName", row["scientificname"])
    status = read_status(row["taxonomicstatus"])
    if not isinstance(status, Status):
        return SkippedName(place, name, status)
    rank = read_rank(row["taxonrank"])
    # Without a rank, the name may be the one in the column of the species or of the genus.
    above = taxa_above(row, HIGHER, below=rank or read_name(name).rank)
    listed = ListedName(place, name, rank=rank, key=read_key(row["taxonkey"]), above=above)
    return listed if status == Status.ACCEPTED else _synonym(listed, row)


def _synonym(listed: ListedName, row: Row) -> ListedName:
    accepted = row["acceptedscientificname"]
    if not accepted or read_name(accepted).key == read_name(listed.name).key:
        return listed
    return listed._replace(
        status=Status.SYNONYM,
        accepted=check_name("acceptedScientificName", accepted),
        accepted_key=read_key(row["acceptedtaxonkey"]),
    )


LIST_FORMATS.register("gbif", ListFormat("a GBIF species list", COLUMNS, read))
