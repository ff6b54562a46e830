"""The plan of the taxa that a checklist creates or completes."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from ami.exchange.base import ImportRefusedError
from ami.exchange.taxa_file import ChecklistRow
from ami.main.models import TaxonRank


@dataclass
class PlannedTaxon:
    """A name of the checklist; `parent` and `synonym_of` are names as well."""

    name: str
    rank: TaxonRank
    line: int
    is_synonym: bool = False
    parent: str | None = None
    synonym_of: str | None = None
    gbif_key: int | None = None
    search_names: set[str] = field(default_factory=set)


@dataclass
class TaxaPlan:
    """Every name of a checklist: parents before children, accepted names before synonyms."""

    taxa: dict[str, PlannedTaxon]
    species: set[str]
    notes: list[str]

    def generations(self) -> list[list[PlannedTaxon]]:
        """Return the taxa in the order of writing: none refers to one of a later generation."""
        ranks = list(TaxonRank)
        grouped: defaultdict[tuple[bool, int], list[PlannedTaxon]] = defaultdict(list)
        for taxon in self.taxa.values():
            grouped[taxon.is_synonym, ranks.index(taxon.rank)].append(taxon)
        return [grouped[key] for key in sorted(grouped)]


def plan_taxa(rows: Iterable[ChecklistRow]) -> TaxaPlan:
    """Return the rank, parent and accepted taxon of every name.

    Names are unique, so a genus in two families is assigned to the family of more rows (or the
    first one, if both have the same number). Species of the other family get that family as their
    parent. Raises ImportRefusedError if a name has two ranks or two accepted names.
    """
    rows = list(rows)
    families = _parents((row.genus, row.family) for row in rows)
    orders = _parents((row.family, row.order) for row in rows)
    planner = _Planner()
    for row in rows:
        planner.add(row.order, TaxonRank.ORDER, row)
        planner.add(row.family, TaxonRank.FAMILY, row, parent=orders.chosen[row.family])
        planner.add(row.genus, TaxonRank.GENUS, row, parent=families.chosen[row.genus])
        in_family = families.chosen[row.genus] == row.family
        planner.add_species(row, parent=row.genus if in_family else row.family)
    if planner.faults:
        raise ImportRefusedError(*planner.faults)
    species = {name for row in rows for name in (row.accepted, *([row.name] * row.is_synonym))}
    return TaxaPlan(planner.taxa, species, [*families.notes("families"), *orders.notes("orders")])


class _Parents:
    """The parent of each child in most rows."""

    def __init__(self, votes: dict[str, Counter[str]]) -> None:
        self.votes = votes
        self.chosen = {child: counts.most_common(1)[0][0] for child, counts in votes.items()}

    def notes(self, noun: str) -> list[str]:
        return [
            f"{child} is in several {noun}: {', '.join(sorted(counts))}; "
            f"{self.chosen[child]} was used."
            for child, counts in self.votes.items()
            if len(counts) > 1
        ]


def _parents(pairs: Iterable[tuple[str, str]]) -> _Parents:
    votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for child, parent in pairs:
        votes[child][parent] += 1
    return _Parents(votes)


class _Planner:
    def __init__(self) -> None:
        self.taxa: dict[str, PlannedTaxon] = {}
        self.faults: list[str] = []

    def add(
        self,
        name: str,
        rank: TaxonRank,
        row: ChecklistRow,
        *,
        parent: str | None = None,
        synonym_of: str | None = None,
    ) -> PlannedTaxon:
        """Return the planned taxon of the name; the first row with it determines its values."""
        taxon = self.taxa.setdefault(
            name,
            PlannedTaxon(
                name,
                rank,
                row.line,
                is_synonym=synonym_of is not None,
                parent=parent,
                synonym_of=synonym_of,
            ),
        )
        if taxon.rank != rank:
            self.faults.append(
                f"line {row.line}: {name!r} is a {rank.lower()} here and a {taxon.rank.lower()} "
                f"on line {taxon.line}; each name may be used for only one taxon."
            )
        if taxon.synonym_of != synonym_of:
            self.faults.append(
                f"line {row.line}: {name!r} is {_status(synonym_of)} here and "
                f"{_status(taxon.synonym_of)} on line {taxon.line}."
            )
        return taxon

    def add_species(self, row: ChecklistRow, *, parent: str) -> None:
        accepted = self.add(row.accepted, TaxonRank.SPECIES, row, parent=parent)
        accepted.gbif_key = accepted.gbif_key or row.gbif_key
        if row.is_synonym:
            self.add(row.name, TaxonRank.SPECIES, row, parent=parent, synonym_of=row.accepted)
        elif row.name != row.accepted:
            accepted.search_names.add(row.name)


def _status(synonym_of: str | None) -> str:
    return f"a synonym of {synonym_of!r}" if synonym_of else "accepted"
