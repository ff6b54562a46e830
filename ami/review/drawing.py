"""Draw a sample: at random or stratified, the same again from the same rows and seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from random import Random
from secrets import randbelow
from typing import Any, NamedTuple

from django.contrib.admin.models import ADDITION
from django.db import connection, transaction
from django.utils import timezone

from ami.base.audit import Kind, record
from ami.base.words import counted
from ami.review.models import Sample, SampleItem
from ami.review.populations import DrawingRefusedError, Origin, Population
from ami.review.statistics.shares import sample_size
from ami.review.strata import KEYS, Stratum, allocate, strata_of

MOST = 10_000  # items of a sample
FEWEST = 2  # of a stratum: from a single one, its variance cannot be estimated
DOUBLE = 0.1
HIGHEST_SEED = 2**63 - 1
SPAN = 2**64  # of hashes
SEEDS = 10**6  # that are proposed: short enough to write down
EXPECTED, MARGIN = 0.9, 0.05  # the share right, and its interval, for which a size is proposed

# The occurrences whose hash is below the bound of their stratum, each with its rank in it. The
# bounds keep a few more than will be drawn, so that PostgreSQL sorts hundreds and not millions.
# With OFFSET 0, it reads the population once, and not once per key.
DRAW = """
WITH key (first, second, stratum, bound) AS (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::bigint[])
), hashed (id, taxon, taxon_before, score, hash, first, second) AS (
    SELECT id, taxon, taxon_before, score, hashint8extended(id, %s), {keys}
    FROM ({population}) p (id, taxon, taxon_before, score)
    WHERE hashint8extended(id, %s) <= %s OFFSET 0
)
SELECT h.id, h.taxon, h.taxon_before, h.score, key.stratum, h.hash,
       row_number() OVER (PARTITION BY key.stratum ORDER BY h.hash, h.id)
FROM hashed h JOIN key USING (first, second)
WHERE h.hash <= key.bound
"""


@dataclass(frozen=True, kw_only=True)
class Design:
    """How a sample is drawn, and how people answer. `double` is the share that is read twice."""

    name: str
    size: int
    seed: int
    strata: Sample.Strata = Sample.Strata.NONE
    double: float = DOUBLE
    blind: bool = True
    identifies: bool = True


class Drawn(NamedTuple):
    """One occurrence that was drawn; `rank` is its place in the random order of its stratum."""

    occurrence_id: int
    taxon_id: int
    taxon_before_id: int | None
    score: float | None
    stratum: int
    hash: int
    rank: int


def proposed_size(population: int) -> int:
    """How many answers measure a share right of about 90 % to ± 5 %; 1 without a population."""
    return min(sample_size(EXPECTED, MARGIN, population), MOST) if population else 1


def proposed_name(origin: Origin) -> str:
    return f"{origin}, {timezone.localdate()}"[: Sample._meta.get_field("name").max_length]


def proposed_seed() -> int:
    return randbelow(SEEDS)


def how_drawn(origin: Origin, design: Design) -> dict[str, Any]:
    """From where and how a sample is drawn, as its columns say."""
    return {
        "name": design.name,
        "project": origin.project,
        "user": origin.user,
        "source": origin.source,
        "source_id": origin.source_id,
        "query": origin.query,
        "strata": design.strata,
        "seed": design.seed,
    }


def draw(origin: Origin, design: Design, *, reason: str = "") -> Sample:
    """Draw a sample and record that the person of `origin` did, for the `reason`.

    Raises DrawingRefusedError.
    """
    population = origin.population(design.strata)
    strata = strata_of(population, design.strata)
    _require_size(strata, design.size, origin)
    sizes = allocate([stratum.population for stratum in strata], design.size)
    drawn = draw_rows(population, strata, sizes, strata_by=design.strata, seed=design.seed)
    with transaction.atomic():
        sample = Sample.objects.create(
            **how_drawn(origin, design),
            population=sum(stratum.population for stratum in strata),
            populations=_populations(strata) if design.strata else [],
            blind=design.blind,
            identifies=design.identifies,
        )
        SampleItem.objects.bulk_create(_items(sample, drawn, double=design.double))
        message = f"Drew {counted(len(drawn), 'occurrence')}. {origin}."
        record(
            [sample],
            kind=Kind.ADD,
            user=origin.user,
            message=message,
            reason=reason,
            flag=ADDITION,
        )
    return sample


def draw_rows(
    population: Population,
    strata: Sequence[Stratum],
    sizes: Sequence[int],
    *,
    strata_by: Sample.Strata,
    seed: int,
) -> list[Drawn]:
    """Draw `sizes` occurrences from the strata, in random order.

    Each stratum has the same share in any first part of the result as in the whole, so that such a
    part is a stratified sample, too.
    """
    bounds = [_bound(n, stratum.population) for n, stratum in zip(sizes, strata, strict=True)]
    found = _draw(population, strata, bounds, strata_by=strata_by, seed=seed)
    drawn = [row for row in found if row.rank <= sizes[row.stratum]]
    if len(drawn) < sum(sizes):  # once in billions of samples
        found = _draw(
            population, strata, [SPAN // 2 - 1] * len(strata), strata_by=strata_by, seed=seed
        )
        drawn = [row for row in found if row.rank <= sizes[row.stratum]]
    return sorted(drawn, key=lambda row: ((row.rank - 0.5) / sizes[row.stratum], row.hash))


def _require_size(strata: Sequence[Stratum], size: int, origin: Origin) -> None:
    if not strata:
        raise DrawingRefusedError(
            f"{origin}: there are no occurrences with a determination to judge."
        )
    least = sum(min(FEWEST, stratum.population) for stratum in strata) if len(strata) > 1 else 1
    if not least <= size <= MOST:
        why = f" to have {FEWEST} from each of {len(strata)} strata" if len(strata) > 1 else ""
        raise DrawingRefusedError(
            f"A sample must have {least:,} to {MOST:,} occurrences{why}, got {size:,}."
        )


def _populations(strata: Sequence[Stratum]) -> list[dict[str, Any]]:
    return [{"name": stratum.name, "population": stratum.population} for stratum in strata]


def _bound(size: int, population: int) -> int:
    """A hash below which are at least `size` of the population, except once in billions."""
    share = (size + 6 * sqrt(size) + 20) / population
    return min(int(share * SPAN), SPAN - 1) - SPAN // 2


def _draw(
    population: Population,
    strata: Sequence[Stratum],
    bounds: Sequence[int],
    *,
    strata_by: Sample.Strata,
    seed: int,
) -> list[Drawn]:
    keys = [
        (*key, number, bound)
        for number, (stratum, bound) in enumerate(zip(strata, bounds, strict=True))
        for key in stratum.keys
    ]
    sql = DRAW.format(keys=KEYS[strata_by], population=population.sql)
    with connection.cursor() as cursor:
        columns = [list(column) for column in zip(*keys, strict=True)]
        cursor.execute(sql, [*columns, seed, *population.params, seed, max(bounds)])
        return [Drawn(*row) for row in cursor.fetchall()]


def _items(sample: Sample, drawn: Sequence[Drawn], *, double: float) -> Iterator[SampleItem]:
    twice = _twice(len(drawn), double, seed=sample.seed)
    for position, row in enumerate(drawn, start=1):
        yield SampleItem(
            sample=sample,
            position=position,
            stratum=row.stratum,
            occurrence_id=row.occurrence_id,
            taxon_id=row.taxon_id,
            taxon_before_id=row.taxon_before_id,
            score=row.score,
            is_double=position in twice,
        )


def _twice(size: int, share: float, *, seed: int) -> set[int]:
    """Choose the positions that are read twice: one at random in each of equal stretches."""
    number = round(size * share)
    chooser = Random(seed)
    ends = [size * end // number for end in range(number + 1)] if number else []
    return {chooser.randint(start + 1, end) for start, end in pairwise(ends)}
