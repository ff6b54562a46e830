"""The strata of a population: their names, their sizes, and how many occurrences each gives."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from django.db import connection

from ami.main.models import Taxon
from ami.review.models import Sample
from ami.review.populations import Population

Strata = Sample.Strata
Key = tuple[int, int]

MOST = 20
NO_TAXON = "no taxon"
OTHERS = "All others"
BOUNDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
NO_SCORE = -1

BAND = f"COALESCE(width_bucket(score, ARRAY{[*BOUNDS[1:-1]]}::float8[]), {NO_SCORE})"
# A stratum is one pair of numbers, or several.
KEYS: dict[Strata, str] = {
    Strata.NONE: "0::bigint, 0::bigint",
    Strata.SCORE: f"{BAND}::bigint, 0::bigint",
    Strata.TAXA: "COALESCE(taxon_before, 0), taxon",
    Strata.RUN: "(taxon_before IS NOT DISTINCT FROM taxon)::int::bigint, 0::bigint",
}
SIZES = """
SELECT {keys}, count(*) FROM ({population}) p (id, taxon, taxon_before, score)
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


class Stratum(NamedTuple):
    """Some occurrences of a population, which have one of the keys."""

    name: str
    population: int
    keys: list[Key]


def band_of(score: float | None) -> int:
    """Return the number of the band of a score, as PostgreSQL computes it for `BAND`."""
    if score is None:
        return NO_SCORE
    return sum(score >= bound for bound in BOUNDS[1:-1])


def band_name(band: int) -> str:
    if band == NO_SCORE:
        return "No score"
    low, high = list(pairwise(BOUNDS))[band]
    last = band == len(BOUNDS) - 2
    return f"{low:g} to {high:g}" if last else f"{low:g} to below {high:g}"


def label_of(strata: str, source: str) -> str:
    """Return by what a sample from this source is stratified; only Jobs know a taxon before."""
    is_of_taxa = strata == Strata.TAXA and source != Sample.Source.JOB
    return "Taxon" if is_of_taxa else str(Strata(strata).label)


def strata_of(population: Population, strata: Strata) -> list[Stratum]:
    """Count the strata of a population: bands in their order, others from the largest down.

    There are at most 20; the last one then has the occurrences of all further keys. An empty
    population has none.
    """
    sql = SIZES.format(keys=KEYS[strata], population=population.sql)
    with connection.cursor() as cursor:
        cursor.execute(sql, population.params)
        sizes = {(first, second): size for first, second, size in cursor.fetchall()}
    if strata in {Strata.SCORE, Strata.RUN}:
        sizes = dict(sorted(sizes.items()))
    shown = list(sizes) if len(sizes) <= MOST else list(sizes)[: MOST - 1]
    names = _names(shown, strata)
    found = [Stratum(names[key], sizes[key], [key]) for key in shown]
    if rest := [key for key in sizes if key not in names]:
        found.append(Stratum(OTHERS, sum(sizes[key] for key in rest), rest))
    return found


def allocate(populations: Sequence[int], size: int) -> list[int]:
    """Return how many of `size` occurrences each stratum gives: equal numbers.

    A stratum that is too small gives all of its occurrences, and the others share the rest. The
    larger ones give one more if the rest cannot be divided.
    """
    given = [0] * len(populations)
    left = min(size, sum(populations))
    # From the smallest, each gives an equal share of what the ones before it have left.
    order = sorted(range(len(populations)), key=lambda place: populations[place])
    for turn, place in enumerate(order):
        given[place] = min(populations[place], left // (len(order) - turn))
        left -= given[place]
    return given


def _names(keys: Sequence[Key], strata: Strata) -> dict[Key, str]:
    if strata == Strata.SCORE:
        return {key: band_name(key[0]) for key in keys}
    if strata == Strata.RUN:
        return {key: "Unchanged" if key[0] else "Changed" for key in keys}
    if strata == Strata.NONE:
        return dict.fromkeys(keys, "All")
    taxa = Taxon.objects.filter(pk__in={pk for key in keys for pk in key})
    known = {0: NO_TAXON, **dict(taxa.values_list("pk", "name"))}
    if not any(before for before, _ in keys):
        return {key: known[key[1]] for key in keys}
    return {(one, other): f"{known[one]} → {known[other]}" for one, other in keys}
