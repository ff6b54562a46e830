"""Comparison of the taxa of a name list with those of the database."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ami.exchange.base import ImportRefusedError
from ami.exchange.name_lists.base import Status
from ami.exchange.plan import Change, ImportPlan, Outcome
from ami.exchange.taxa_plan import WantedTaxa, WantedTaxon
from ami.main.models import Taxon, TaxonRank
from ami.main.names import read_name
from ami.main.resolver import By, resolve_names
from ami.main.taxonomy import Taxonomy

AT_SPECIES = {TaxonRank.SPECIES, TaxonRank.SUBSPECIES, TaxonRank.VARIETY, TaxonRank.FORM}


class Known:
    """The taxa of the database that have the names of a list."""

    def __init__(self, wanted: WantedTaxa) -> None:
        names = {taxon.name: key for key, taxon in wanted.taxa.items()}
        spelled = {text for taxon in wanted.taxa.values() for text in taxon.spellings}
        found = resolve_names({*names, *spelled})
        ids = set(found.named.values())
        self.rows = Taxon.objects.in_bulk(ids)
        self.taxonomy: Taxonomy = found.taxonomy
        above = Taxon.objects.filter(pk__in=set(found.taxonomy) - ids)
        self.names = {pk: row.name for pk, row in self.rows.items()}
        self.names |= dict(above.values_list("pk", "name"))
        self.by_key = {key: found.named[name] for name, key in names.items() if name in found.named}
        self.searched = {key for name, key in names.items() if found.by.get(name) == By.SEARCH_NAME}
        self.spelled = {
            text: found.named[text] for text in spelled if found.by.get(text) == By.NAME
        }
        keys = {taxon.gbif_key for taxon in wanted.taxa.values() if taxon.gbif_key}
        bearers = Taxon.objects.filter(gbif_taxon_key__in=keys).order_by("-pk")
        self.bearers = dict(bearers.values_list("gbif_taxon_key", "name"))

    def at_rank(self, pk: int, rank: TaxonRank) -> int | None:
        """Return the ancestor of that rank, or None."""
        above = self.taxonomy.lineage(pk)[1:]
        return next((one for one in above if self.taxonomy[one].rank == rank), None)


class Field(NamedTuple):
    """A field of a taxon in which list and database differ.

    `new` is a value, or the key of a wanted taxon for a relation; `is_missing` says that the
    database has no value. The last two are for people.
    """

    name: str
    new: Any
    is_missing: bool
    was: Any
    becomes: Any


LABELS = {
    "name": "name",
    "rank": "rank",
    "parent": "parent",
    "synonym_of": "synonym of",
    "gbif_taxon_key": "GBIF key",
    "search_names": "search names",
}


@dataclass
class Comparison:
    """What an import writes: new taxa, and the changed fields of existing ones, by key."""

    wanted: WantedTaxa
    known: Known
    plan: ImportPlan
    update: bool
    changes: dict[str, list[Field]] = field(default_factory=dict)
    # Higher taxa that are under another parent in the database, and the parent in the list.
    elsewhere: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def run(self) -> "Comparison":
        """Compare all taxa. Raises ImportRefusedError if one has another rank in the database."""
        self._drop_what_is_not_needed()
        self._spellings_as_synonyms()
        self._drop_keys_of_others()
        for generation in self.wanted.generations():
            for key, taxon in generation:
                self._compare(key, taxon)
        if self.faults:
            raise ImportRefusedError(*self.faults)
        return self

    def _drop_what_is_not_needed(self) -> None:
        """Drop new taxa that only existing names of a plain list contain."""
        needed: set[str] = set()
        for key, taxon in self.wanted.taxa.items():
            following = None if taxon.implied or self._pk(key) else taxon.parent
            while following is not None and following not in needed:
                needed.add(following)
                following = self.wanted.taxa[following].parent
        for key, taxon in list(self.wanted.taxa.items()):
            if taxon.implied and key not in needed and self._pk(key) is None:
                del self.wanted.taxa[key]
        for taxon in self.wanted.taxa.values():
            if taxon.parent not in self.wanted.taxa:
                taxon.parent = None

    def _spellings_as_synonyms(self) -> None:
        """A spelling that is a taxon of its own in the database is a synonym."""
        for key, taxon in list(self.wanted.taxa.items()):
            for text in list(taxon.spellings):
                own = read_name(text).key
                if own in self.wanted.taxa:
                    del taxon.spellings[text]
                    other = self.wanted.taxa[own]
                    if other.synonym_of != key:
                        self._contradict(
                            taxon,
                            f"{text!r} is another spelling of {taxon.name!r} here and a name of "
                            f"its own on {other.place}; it stays one.",
                        )
                elif text in self.known.spelled and self.known.spelled[text] != self._pk(key):
                    del taxon.spellings[text]
                    self.known.by_key[own] = self.known.spelled[text]
                    self.wanted.taxa[own] = WantedTaxon(
                        text, text, taxon.rank, taxon.place, Status.SYNONYM, taxon.parent, key
                    )

    def _drop_keys_of_others(self) -> None:
        used: dict[int, WantedTaxon] = {}
        for key, taxon in self.wanted.taxa.items():
            if taxon.gbif_key is None:
                continue
            first = used.setdefault(taxon.gbif_key, taxon)
            row = self._row(key)
            bearer = self.known.bearers.get(taxon.gbif_key)
            if first is not taxon:
                whose = f"{first.name!r} on {first.place}"
            elif bearer and (row is None or row.gbif_taxon_key != taxon.gbif_key):
                whose = f"{bearer!r} in the database"
            else:
                continue
            self._contradict(
                taxon,
                f"The GBIF key {taxon.gbif_key} of {taxon.name!r} is also that of {whose}; it was "
                "left out.",
            )
            taxon.gbif_key = None

    def _pk(self, key: str) -> int | None:
        return self.known.by_key.get(key)

    def _row(self, key: str) -> Taxon | None:
        pk = self._pk(key)
        return None if pk is None else self.known.rows[pk]

    def _compare(self, key: str, taxon: WantedTaxon) -> None:
        row = self._row(key)
        if row is None:
            taxon.parent = self.elsewhere.get(taxon.parent or "", taxon.parent)
            self.plan.add(Outcome.CREATED, Taxon, taxon.name, taxon.place)
            return
        if key in self.known.searched:
            self._use_search_name(taxon, row)
            return
        fields = [
            *self._name(taxon, row),
            *self._rank(taxon, row),
            *self._parent(key, taxon, row),
            *self._accepted(taxon, row),
            *self._key(taxon, row),
            *self._spellings(taxon, row),
        ]
        written = [one for one in fields if one.is_missing or self.update]
        left = [one for one in fields if not (one.is_missing or self.update)]
        self._tell(Outcome.CHANGED, taxon, row, written)
        self._tell(Outcome.DIFFERS, taxon, row, left)
        if written:
            self.changes[key] = written
        if not fields:
            self.plan.add(Outcome.UNCHANGED, Taxon, row.name, taxon.place)

    def _tell(
        self, outcome: Outcome, taxon: WantedTaxon, row: Taxon, fields: Iterable[Field]
    ) -> None:
        changes = [Change(LABELS[one.name], one.was, one.becomes) for one in fields]
        if changes:
            self.plan.add(outcome, Taxon, row.name, taxon.place, changes=changes)

    def _use_search_name(self, taxon: WantedTaxon, row: Taxon) -> None:
        if taxon.is_plain:
            self.plan.add(Outcome.UNCHANGED, Taxon, row.name, taxon.place)
            return
        self._contradict(
            taxon,
            f"{taxon.name!r} is a taxon here and a search name of {row.name!r} in the database, "
            "which is used.",
        )

    def _contradict(self, taxon: WantedTaxon, reason: str) -> None:
        self.plan.add(Outcome.CONTRADICTION, Taxon, taxon.name, taxon.place, reason=reason)

    def _name(self, taxon: WantedTaxon, row: Taxon) -> Iterable[Field]:
        if row.name != taxon.name and not taxon.is_plain:
            yield Field("name", taxon.name, False, row.name, taxon.name)

    def _rank(self, taxon: WantedTaxon, row: Taxon) -> Iterable[Field]:
        if taxon.rank in {row.rank, TaxonRank.UNKNOWN}:
            return
        if row.rank == TaxonRank.UNKNOWN:
            yield Field("rank", taxon.rank, True, row.rank, taxon.rank.value)
        elif {taxon.rank, TaxonRank(row.rank)} <= AT_SPECIES:
            yield Field("rank", taxon.rank, False, row.rank, taxon.rank.value)
        else:
            self.faults.append(
                f"{taxon.place}: {taxon.name!r} is a {taxon.rank.lower()} here and a "
                f"{row.rank.lower()} in the database; each name may be used for only one taxon."
            )

    def _parent(self, key: str, taxon: WantedTaxon, row: Taxon) -> Iterable[Field]:
        if taxon.parent is None or self._is_under(row, taxon.parent):
            return
        above = self.elsewhere.get(taxon.parent, taxon.parent)
        parent = self.wanted.taxa[above]
        # A rank that stays as it is may be above that of the parent.
        fits = row.rank == TaxonRank.UNKNOWN or TaxonRank(row.rank).may_be_under(parent.rank)
        if row.parent_id is None:
            yield Field("parent", above, fits, None, parent.name)
            return
        if taxon.is_synonym or taxon.is_plain or self._is_under(row, above):
            return
        now = self.known.at_rank(row.pk, parent.rank)
        if now is None and parent.rank.is_below(TaxonRank(self.known.taxonomy[row.parent_id].rank)):
            # The list knows a level between the taxon and its parent.
            now = row.parent_id
            if self._leads_to(above, now):
                yield Field("parent", above, fits, self.known.names[now], parent.name)
                return
        if now is not None:
            yield from self._other_parent(key, taxon, row, now, above)

    def _is_under(self, row: Taxon, key: str) -> bool:
        pk = self._pk(key)
        return pk is not None and pk in self.known.taxonomy.lineage(row.pk)[1:]

    def _other_parent(
        self, key: str, taxon: WantedTaxon, row: Taxon, now: int, above: str
    ) -> Iterable[Field]:
        """The parent differs. A higher taxon in another order is another taxon."""
        parent, was = self.wanted.taxa[above], self.known.names[now]
        if taxon.rank in AT_SPECIES or (self.update and self._same_order(taxon, row)):
            yield Field("parent", above, False, was, parent.name)
            return
        self.elsewhere[key] = above
        if self._same_order(taxon, row):
            yield Field("parent", above, False, was, parent.name)
            return
        self._contradict(
            taxon,
            f"The {taxon.rank.lower()} {taxon.name!r} is in {parent.name!r} here and in {was!r} in "
            f"the database; only one taxon can have the name. What is in {parent.name!r} is "
            "placed directly there.",
        )

    def _leads_to(self, key: str, pk: int) -> bool:
        """Whether a wanted taxon is under the existing one, in the list or in the database."""
        following: str | None = key
        while following is not None:
            own = self._pk(following)
            if own is not None and pk in self.known.taxonomy.lineage(own):
                return True
            following = self.wanted.taxa[following].parent
        return False

    def _same_order(self, taxon: WantedTaxon, row: Taxon) -> bool:
        """Whether list and database have the taxon in one order, as far as both tell it."""
        now = self.known.at_rank(row.pk, TaxonRank.ORDER)
        following: WantedTaxon | None = taxon
        while following is not None and following.rank != TaxonRank.ORDER:
            following = self.wanted.taxa[following.parent] if following.parent else None
        if now is None or following is None:
            return True
        return read_name(self.known.names[now]).key == read_name(following.name).key

    def _accepted(self, taxon: WantedTaxon, row: Taxon) -> Iterable[Field]:
        if taxon.status == Status.NONE:
            return
        now = row.synonym_of_id
        was = None if now is None else self.known.names[now]
        if taxon.synonym_of is None:
            if now is not None:
                yield Field("synonym_of", None, False, was, None)
        elif now is None or self._pk(taxon.synonym_of) not in {now, self._final(now)}:
            # Only a label has created a taxon that has neither parent nor key.
            bare = now is None and row.parent_id is None and row.gbif_taxon_key is None
            becomes = self.wanted.taxa[taxon.synonym_of].name
            yield Field("synonym_of", taxon.synonym_of, bare, was, becomes)

    def _final(self, pk: int) -> int:
        return self.known.taxonomy.accepted(pk)

    def _key(self, taxon: WantedTaxon, row: Taxon) -> Iterable[Field]:
        if taxon.gbif_key not in {None, row.gbif_taxon_key}:
            was = row.gbif_taxon_key
            yield Field("gbif_taxon_key", taxon.gbif_key, was is None, was, taxon.gbif_key)

    def _spellings(self, taxon: WantedTaxon, row: Taxon) -> Iterable[Field]:
        known = {read_name(name).key for name in (row.name, *row.search_names)}
        added = [text for text in taxon.spellings if read_name(text).key not in known]
        if added:
            both = [*row.search_names, *sorted(added)]
            yield Field("search_names", both, True, row.search_names, both)
