"""Which taxon a written name stands for: one order for imports, methods, checks and searches."""

import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeVar

from django.db import connection

from ami.main.models.taxon import START
from ami.main.names import Name, fold, read_name
from ami.main.taxonomy import Taxonomy

K = TypeVar("K")
LETTERS = re.compile("[A-Za-z]+")

NAMED = "SELECT name, id FROM main_taxon WHERE name = ANY(%s)"

# Accepted taxa come before synonyms, then lower ids, because the first match is used.
KEYED = """
SELECT gbif_taxon_key, id FROM main_taxon WHERE gbif_taxon_key = ANY(%s)
ORDER BY synonym_of_id IS NOT NULL, id
"""

# Names that may be the same begin with the same letters, which `start_of` returns as well.
SIMILAR = """
WITH searched AS (
    SELECT FALSE AS is_search_name, name, id, synonym_of_id FROM main_taxon
    UNION ALL
    SELECT TRUE, further.name, id, synonym_of_id
    FROM main_taxon, unnest(search_names) AS further (name) WHERE search_names <> '{}'
)
SELECT is_search_name, name, id FROM searched
WHERE START = ANY(%(starts)s::text[])
   OR is_search_name AND searched.name = ANY(%(names)s::text[])
ORDER BY synonym_of_id IS NOT NULL, id
""".replace("START", START.format("name"))


class By(StrEnum):
    """What a taxon was found by."""

    NAME = "name"
    KEY = "GBIF key"
    SEARCH_NAME = "search name"


class Resolved(NamedTuple):
    """The taxa of names, and the taxonomy above these taxa.

    `named` holds the taxon that has the name, `taxa` its accepted taxon, and `by` what the name
    was found by. Names without a taxon are in none of them.
    """

    named: dict[str, int]
    taxa: dict[str, int]
    by: dict[str, By]
    taxonomy: Taxonomy


def resolve_names(names: Collection[str], keys: Mapping[str, int] | None = None) -> Resolved:
    """Find the taxa of names, and of the GBIF keys that some of the names have.

    In this order, a name is that of the taxon with

    1. the same name, as it is written, or else in its normal form (:func:`read_name`);
    2. the same GBIF key;
    3. the same search name, as it is written, or else in its normal form.

    A synonym stands for its accepted taxon. Of several taxa the accepted one is used, then that
    with the lowest id. A name that stands for no species is that of the genus which it names, if
    no taxon has the name as it is written. The number of queries does not depend on the number of
    names.
    """
    found = _exact(names)
    by = dict.fromkeys(found, By.NAME)
    missing = {name: read_name(name) for name in names if name not in found}
    similar = _Similar(missing)
    keyed = _keyed({name: key for name, key in (keys or {}).items() if name in missing})
    for name, read in missing.items():
        hits = (
            (By.NAME, similar.by_name(read)),
            (By.KEY, keyed.get(name)),
            (By.SEARCH_NAME, similar.by_search_name(name, read)),
        )
        for way, pk in hits:
            if pk is not None:
                found[name], by[name] = pk, way
                break
    taxonomy = Taxonomy.above(set(found.values()))
    taxa = {name: taxonomy.accepted(pk) for name, pk in found.items()}
    return Resolved(found, taxa, by, taxonomy)


def _exact(names: Collection[str]) -> dict[str, int]:
    """Pass tens of thousands of names as one parameter: Django would prepare each of an `__in`."""
    with connection.cursor() as cursor:
        cursor.execute(NAMED, [list(names)])
        return dict(cursor.fetchall())


def _keyed(keys: Mapping[str, int]) -> dict[str, int]:
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(KEYED, [list(set(keys.values()))])
        bearers = _first(cursor.fetchall())
    return {name: bearers[key] for name, key in keys.items() if key in bearers}


class _Similar:
    """Taxa whose names or search names begin like the missing names."""

    def __init__(self, missing: Mapping[str, Name]) -> None:
        self.names: dict[str, int] = {}
        self.written: dict[str, int] = {}
        self.searched: dict[str, int] = {}
        starts = {start_of(name.written) for name in missing.values()}
        with connection.cursor() as cursor:
            cursor.execute(SIMILAR, {"names": list(missing), "starts": list(starts)})
            for is_search_name, name, pk in cursor.fetchall():
                self._add(name, pk, is_search_name=is_search_name)

    def _add(self, name: str, pk: int, *, is_search_name: bool) -> None:
        read = read_name(name)
        if is_search_name:
            self.written.setdefault(name, pk)
        # "Noctua sp." is not the genus "Noctua".
        key = fold(read.written) if read.doubt else read.key
        (self.searched if is_search_name else self.names).setdefault(key, pk)

    def by_name(self, name: Name) -> int | None:
        return _find(self.names, name)

    def by_search_name(self, written: str, name: Name) -> int | None:
        return self.written.get(written) or _find(self.searched, name)


def _find(found: Mapping[str, int], name: Name) -> int | None:
    keys = (fold(name.written), name.key, name.otherwise)
    return next((found[key] for key in keys if key and key in found), None)


def start_of(name: str) -> str:
    """Return the letters from A to Z with which a tidy name begins, in lower case, or ""."""
    letters = LETTERS.search(name)
    return fold(letters[0]) if letters else ""


def _first(pairs: Iterable[tuple[K, int]]) -> dict[K, int]:
    found: dict[K, int] = {}
    for key, pk in pairs:
        found.setdefault(key, pk)
    return found
