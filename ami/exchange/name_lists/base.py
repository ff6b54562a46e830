"""What all readers of name lists yield, and the registry of the formats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ami.base.registry import Registry
from ami.exchange.base import check_text, shown
from ami.main.models import TaxonRank
from ami.main.names import fold, tidy

Above = tuple[tuple[TaxonRank, str], ...]

RANKS = {"subspecies": TaxonRank.SUBSPECIES, "forma": TaxonRank.FORM, "varietas": TaxonRank.VARIETY}
RANKS |= {fold(rank.value): rank for rank in TaxonRank}

ACCEPTED = {"accepted", "valid", "doubtful", "provisionally accepted", "unresolved"}
SYNONYM = {"synonym", "heterotypic synonym", "homotypic synonym", "objective synonym"}
SYNONYM |= {"junior synonym", "subjective synonym", "invalid", "not accepted", "unaccepted"}
# Such a name is used for another taxon than the one to which it belongs, or for several taxa.
NO_SYNONYM = {"misapplied", "proparte synonym", "pro parte synonym", "ambiguous synonym"}


class Status(StrEnum):
    """What a list says about a name; a plain list says nothing."""

    ACCEPTED = "accepted"
    SYNONYM = "synonym"
    NONE = "none"


class ListedName(NamedTuple):
    """One name of a list, as it is written there.

    `rank` is None if the list does not tell it. `accepted` is the accepted name of a synonym.
    `key` is the GBIF key of the name, `accepted_key` that of the accepted name. `above` holds the
    taxa above it, or above its accepted name, from coarse to fine. `spellings` are other names by
    which labels find the taxon.
    """

    place: str
    name: str
    status: Status = Status.ACCEPTED
    rank: TaxonRank | None = None
    accepted: str = ""
    key: int | None = None
    accepted_key: int | None = None
    above: Above = ()
    spellings: tuple[str, ...] = ()


class SkippedName(NamedTuple):
    """A row that names no taxon; `reason` is a sentence."""

    place: str
    name: str
    reason: str


Row = dict[str, str]
Read = ListedName | SkippedName


@dataclass(frozen=True)
class ListFormat:
    """A format of name lists.

    A file of this format has the `columns`, and lists `nouns`. `read` returns the name of a row,
    which has a place and cells by column, and raises ValueError for a faulty one. `prepare`
    completes the rows before.
    """

    title: str
    columns: tuple[str, ...]
    read: Callable[[str, Row], Read]
    prepare: Callable[[list[Row]], None] | None = None
    nouns: str = "names"


LIST_FORMATS: Registry[ListFormat] = Registry("format of name lists")


def read_status(written: str) -> Status | str:
    """Return the status, or a predicate that tells why the row names no taxon."""
    status = fold(tidy(written)).replace("-", " ")
    if status in ACCEPTED or not status:
        return Status.ACCEPTED
    if status in SYNONYM:
        return Status.SYNONYM
    if status in NO_SYNONYM:
        return f"is {written}, so it does not stand for one accepted taxon; skipped."
    known = ", ".join(sorted(one.upper() for one in ACCEPTED | SYNONYM))
    return f"has the unknown status {shown(written)}; skipped. Known: {known}."


def read_rank(written: str) -> TaxonRank | None:
    """Return the rank of the column, or None if it is blank or not one of the project's ranks."""
    rank = RANKS.get(fold(tidy(written)))
    return None if rank == TaxonRank.UNKNOWN else rank


def check_name(column: str, value: str) -> str:
    """Return the name. Raises ValueError if it is blank, too long or cannot be stored."""
    try:
        check_text(value, length=255)
        check_text(tidy(value), length=255)
    except ValueError as error:
        raise ValueError(f"{column} {error}, got {shown(value)}") from None
    return value


def taxa_above(row: Row, ranks: Mapping[TaxonRank, str], *, below: TaxonRank | None) -> Above:
    """Return the taxa in the columns `ranks`, as far as they are above the rank `below`."""
    return tuple(
        (rank, check_name(column, name))
        for rank, column in ranks.items()
        if (name := row.get(column, "")) and (below is None or below.may_be_under(rank))
    )
