"""A checklist of species that was matched against the GBIF backbone.

- `search_species` is the name that the checklist uses and `gbif_species` the accepted name that
  GBIF matched it to; `accepted_taxon_key` is the key of the accepted one.
- In a SYNONYM row the searched name is a synonym of the matched one. If both are equal, no
  accepted name is known, and the name is used itself.
- In any other row, if the two differ, the searched name is another spelling of the same name.
- The status NotAvail is a name without a match. NotAvail as `gbif_species` with another status, or
  a genus as the match of a species, is a match of the genus only: the species keeps its searched
  name, without a key.
- A searched name that stands for no species, such as "Noctua cf. pronuba", is not matched.
- `genus`, `family` and `order` are those of the accepted name, which may begin with another genus.
"""

from ami.exchange.base import shown
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

NOT_AVAILABLE = "NotAvail"
HIGHER = {TaxonRank.ORDER: "order", TaxonRank.FAMILY: "family", TaxonRank.GENUS: "genus"}
NAMES = ("search_species", "gbif_species", "genus", "family", "order")
COLUMNS = ("accepted_taxon_key", *NAMES, "status")


def read(place: str, row: Row) -> Read:
    for column in NAMES:
        check_name(column, row[column])
    if row["status"] == NOT_AVAILABLE:
        return SkippedName(place, row["search_species"], "has no GBIF match; skipped.")
    status = read_status(row["status"])
    if isinstance(status, Status):
        return _matched(place, row, status)
    return SkippedName(place, row["search_species"], status)


def _matched(place: str, row: Row, status: Status) -> ListedName:
    for column in HIGHER.values():
        if row[column] == NOT_AVAILABLE:
            raise ValueError(f"{column} of a matched name must be known, got {NOT_AVAILABLE}")
    key = _key(row["accepted_taxon_key"])
    rank = read_rank(row.get("rank", ""))
    name, accepted = row["search_species"], row["gbif_species"]
    if accepted == NOT_AVAILABLE or _is_higher(rank, name, accepted) or read_name(name).doubt:
        rank, key, accepted = None, None, name
    rank = rank or _rank_of(accepted)
    listed = ListedName(
        place, accepted, rank=rank, key=key, above=taxa_above(row, HIGHER, below=rank)
    )
    if read_name(name).key == read_name(accepted).key:
        return listed._replace(name=name)
    if status == Status.SYNONYM:
        return listed._replace(
            name=name, status=status, accepted=accepted, key=None, accepted_key=key
        )
    return listed._replace(spellings=(name,))


def _is_higher(rank: TaxonRank | None, name: str, matched: str) -> bool:
    """Whether the match is another name, of a rank above that of the searched one."""
    searched = read_name(name)
    is_other = searched.key != read_name(matched).key
    return is_other and rank is not None and searched.rank.is_below(rank)


def _rank_of(name: str) -> TaxonRank:
    """Names of a checklist are those of species, unless their form shows another rank."""
    rank = read_name(name).rank
    return TaxonRank.SPECIES if rank == TaxonRank.UNKNOWN else rank


def _key(text: str) -> int | None:
    """Parse GBIF's key; -1 and a blank cell mean that there is none."""
    if text in {"-1", "-1.0", ""}:
        return None
    key = read_key(text)
    if not key:
        raise ValueError(f"accepted_taxon_key must be a whole number, got {shown(text)}")
    return key


MATCHED = "species with a GBIF match"
LIST_FORMATS.register(
    "checklist", ListFormat("a checklist matched by GBIF", COLUMNS, read, nouns=MATCHED)
)
