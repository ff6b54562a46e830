"""A plain list, with one name per line. It says nothing about ranks, synonyms and families."""

from ami.exchange.name_lists.base import (
    LIST_FORMATS,
    ListedName,
    ListFormat,
    Read,
    Row,
    Status,
    check_name,
)
from ami.main.names import read_name

TITLES = {"name", "names", "species", "taxon", "taxa", "scientific name"}


def read(place: str, row: Row) -> Read:
    name = check_name("name", row["name"])
    above = tuple((rank, text) for text, rank in reversed(read_name(name).above))
    return ListedName(place, name, status=Status.NONE, above=above)


LIST_FORMATS.register("plain", ListFormat("a plain list", ("name",), read))
