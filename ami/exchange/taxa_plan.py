"""The taxa that a name list asks for, as far as the list alone tells."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from ami.exchange.base import ImportRefusedError
from ami.exchange.name_lists.base import Above, ListedName, Status
from ami.exchange.plan import ImportPlan, Outcome
from ami.main.models import Taxon, TaxonRank
from ami.main.names import Name, read_name

PLURALS = {
    TaxonRank.FAMILY: "families",
    TaxonRank.GENUS: "genera",
    TaxonRank.SUBFAMILY: "subfamilies",
    TaxonRank.SUPERFAMILY: "superfamilies",
    TaxonRank.PHYLUM: "phyla",
    TaxonRank.CLASS: "classes",
    TaxonRank.SPECIES: "species",
}


@dataclass
class WantedTaxon:
    """A taxon of the list. `parent` and `synonym_of` are keys of other wanted taxa.

    `written` is the name as the list writes it. `status` is NONE if the list does not say whether
    the name is accepted. An `implied` taxon is one that only names of a plain list contain; it is
    needed if one of them is new.
    """

    name: str
    written: str
    rank: TaxonRank
    place: str
    status: Status
    parent: str | None = None
    synonym_of: str | None = None
    gbif_key: int | None = None
    spellings: dict[str, None] = field(default_factory=dict)
    listed: bool = False
    implied: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the list has only the name, and does not say anything about it."""
        return self.listed and self.status == Status.NONE

    @property
    def is_synonym(self) -> bool:
        return self.synonym_of is not None


@dataclass
class WantedTaxa:
    """Every taxon of a list by the key of its name."""

    taxa: dict[str, WantedTaxon]

    def generations(self) -> list[list[tuple[str, WantedTaxon]]]:
        """Return the taxa in the order of writing: none refers to one of a later generation."""
        ranks = list(TaxonRank)
        grouped: defaultdict[tuple[bool, int], list[tuple[str, WantedTaxon]]] = defaultdict(list)
        for key, taxon in self.taxa.items():
            grouped[taxon.is_synonym, ranks.index(taxon.rank)].append((key, taxon))
        return [grouped[one] for one in sorted(grouped)]


def want_taxa(names: Iterable[ListedName], plan: ImportPlan) -> WantedTaxa:
    """Return the taxa of the names, and tell the plan which names are not used as they are.

    Names are unique, so a genus in two families is that of the family with more rows (or the first
    one, if both have the same number). Species of the other family get that family as their
    parent. Raises ImportRefusedError if a name has two ranks or two accepted names.
    """
    names = [_completed(one) for one in names]
    planner = _Planner(plan, _Parents(names))
    for listed in names:
        planner.add_row(listed)
    if planner.faults:
        raise ImportRefusedError(*planner.faults)
    return WantedTaxa(planner.taxa)


def _completed(listed: ListedName) -> ListedName:
    """Leave out levels without a name, and add what the name itself tells.

    That is the species of a subspecies, and the genus of a name that stands for no species.
    """
    name = _read(listed.accepted or listed.name)
    rank = listed.rank or name.rank
    own = [(name.rank, name.text)] if name.doubt and name.rank != TaxonRank.UNKNOWN else []
    above = [
        (level, written)
        for level, written in listed.above
        if not _read(written).doubt and _read(written).key != name.key
    ]
    if rank.is_below(TaxonRank.SPECIES) and TaxonRank.SPECIES not in dict(above):
        above += [(level, text) for text, level in name.above if level == TaxonRank.SPECIES]
    return listed._replace(above=(*above, *own))


def _read(written: str) -> Name:
    """Read a name of a list, in which what may be an author is one."""
    name = read_name(written)
    if name.otherwise and not name.doubt:
        return read_name(name.otherwise.capitalize())._replace(written=name.written)
    return name


class _Parents:
    """The parent of each higher taxon: of those at the lowest rank, the one in most rows."""

    def __init__(self, names: Iterable[ListedName]) -> None:
        self.votes: defaultdict[str, Counter[tuple[TaxonRank, str]]] = defaultdict(Counter)
        for listed in names:
            parent: tuple[TaxonRank, str] | None = None
            for rank, written in listed.above:
                if parent:
                    self.votes[_read(written).key][parent] += 1
                parent = rank, _read(written).text
        self.chosen: dict[str, tuple[TaxonRank, str]] = {}
        for child, counts in self.votes.items():
            lowest = max((rank for rank, _ in counts), key=list(TaxonRank).index)
            same = Counter({one: number for one, number in counts.items() if one[0] == lowest})
            self.chosen[child] = same.most_common(1)[0][0]

    def path(self, above: Above) -> tuple[Above, str]:
        """Return the taxa above a name that agree, and the first one that does not, or ""."""
        path: list[tuple[TaxonRank, str]] = []
        for rank, written in above:
            chosen = self.chosen.get(_read(written).key)
            if path and chosen and chosen[0] == path[-1][0] and chosen[1] != path[-1][1]:
                return tuple(path), written
            path.append((rank, _read(written).text))
        return tuple(path), ""

    def contradiction(self, child: str) -> str:
        rank, used = self.chosen[_read(child).key]
        others = sorted(name for level, name in self.votes[_read(child).key] if level == rank)
        plural = PLURALS.get(rank, f"{rank.lower()}s")
        return (
            f"{child} is in several {plural}: {', '.join(others)}; {used} was used, because only "
            "one taxon can have the name. What is in another one is placed directly there."
        )


class _Planner:
    def __init__(self, plan: ImportPlan, parents: _Parents) -> None:
        self.plan = plan
        self.parents = parents
        self.taxa: dict[str, WantedTaxon] = {}
        self.faults: list[str] = []
        self.told: set[str] = set()

    def add_row(self, listed: ListedName) -> None:
        above = self._add_above(listed)
        name, accepted = _read(listed.name), _read(listed.accepted or listed.name)
        if doubtful := next((one for one in (name, accepted) if one.doubt), None):
            self._skip(doubtful.written, listed.place, f"{doubtful.caveat}; skipped.")
            return
        rank = listed.rank or name.rank
        if not listed.accepted:
            wanted = self._wanted(name, rank, listed, above)
            self._add(name, wanted, listed.key)
            self._spell(name.key, listed)
            return
        # The rank of the row is that of either name.
        ranks = [rank if one.rank == TaxonRank.UNKNOWN else one.rank for one in (accepted, name)]
        wanted = self._wanted(accepted, ranks[0], listed, above)
        wanted.status = Status.ACCEPTED
        self._add(accepted, wanted, listed.accepted_key)
        synonym = self._wanted(name, ranks[1], listed, above)
        synonym.synonym_of = accepted.key
        self._add(name, synonym, listed.key)

    def _add_above(self, listed: ListedName) -> list[tuple[TaxonRank, str]]:
        """Add the taxa above the name, and return their ranks and keys."""
        path, left_out = self.parents.path(listed.above)
        if left_out and left_out not in self.told:
            self.told.add(left_out)
            reason = self.parents.contradiction(left_out)
            self.plan.add(Outcome.CONTRADICTION, Taxon, left_out, listed.place, reason=reason)
        keys: list[tuple[TaxonRank, str]] = []
        for rank, text in path:
            key, parent = _read(text).key, keys[-1][1] if keys else None
            taxon = WantedTaxon(text, text, rank, listed.place, Status.NONE, parent, implied=True)
            known = self.taxa.setdefault(key, taxon)
            plain = listed.status == Status.NONE and not _read(listed.name).doubt
            known.implied = known.implied and plain
            known.parent = known.parent or parent
            self._check_rank(known, rank, listed.place)
            keys.append((rank, key))
        return keys

    def _wanted(
        self, name: Name, rank: TaxonRank, listed: ListedName, above: list[tuple[TaxonRank, str]]
    ) -> WantedTaxon:
        """Return a taxon whose parent is the lowest of those above that is of a higher rank."""
        parents = [key for level, key in above if key != name.key and rank.may_be_under(level)]
        parent = parents[-1] if parents else None
        return WantedTaxon(name.text, name.written, rank, listed.place, listed.status, parent)

    def _add(self, name: Name, wanted: WantedTaxon, gbif_key: int | None) -> None:
        """Add a name of the list; the first row with it determines its values."""
        taxon = self.taxa.setdefault(name.key, wanted)
        if taxon is not wanted:
            self._merge(taxon, wanted)
        taxon.gbif_key = taxon.gbif_key or gbif_key
        taxon.listed, taxon.implied = True, False

    def _merge(self, taxon: WantedTaxon, other: WantedTaxon) -> None:
        self._check_rank(taxon, other.rank, other.place)
        if taxon.status == Status.NONE:
            taxon.status, taxon.synonym_of = other.status, other.synonym_of
            taxon.parent = taxon.parent or other.parent
        elif other.status != Status.NONE and taxon.synonym_of != other.synonym_of:
            self.faults.append(
                f"{other.place}: {other.name!r} is {self._status(other)} here and "
                f"{self._status(taxon)} on {taxon.place}."
            )
        if other.written != taxon.written and taxon.listed:
            reason = f"is the same name as {taxon.written!r} on {taxon.place}; skipped."
            self._skip(other.written, other.place, reason)

    def _check_rank(self, taxon: WantedTaxon, rank: TaxonRank, place: str) -> None:
        if TaxonRank.UNKNOWN in {taxon.rank, rank}:
            taxon.rank = min(taxon.rank, rank, key=lambda one: one == TaxonRank.UNKNOWN)
        elif taxon.rank != rank:
            self.faults.append(
                f"{place}: {taxon.name!r} is a {rank.lower()} here and a {taxon.rank.lower()} "
                f"on {taxon.place}; each name may be used for only one taxon."
            )

    def _spell(self, key: str, listed: ListedName) -> None:
        for written in listed.spellings:
            name = _read(written)
            if name.doubt:
                self._skip(written, listed.place, f"{name.caveat}; skipped.")
            elif name.key != key:
                self.taxa[key].spellings[name.text] = None

    def _skip(self, name: str, place: str, reason: str) -> None:
        self.plan.add(Outcome.SKIPPED, Taxon, name, place, reason=reason)

    def _status(self, taxon: WantedTaxon) -> str:
        accepted = self.taxa[taxon.synonym_of].name if taxon.synonym_of else ""
        return f"a synonym of {accepted!r}" if accepted else "accepted"
