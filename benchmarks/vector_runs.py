"""Shared by the benchmarks of masking and rollup: the comparisons and the large runs."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from django.db import connection

from benchmarks import databases
from benchmarks.memory import measure
from benchmarks.report import Figure
from benchmarks.timing import Seconds, interleaved, timed
from benchmarks.vector_rows import VectorSizes, fill

# What the task and its peer must agree on; scores are rounded because sums differ in the last bits.
OUTCOME = """
SELECT md5(string_agg(row::text, ' ' ORDER BY row::text)) FROM (
    SELECT (c.detection_id, c.taxon_id, round(c.score::numeric, 6), c.terminal, c.applied_to_id,
            a.key, cardinality(c.scores), cardinality(c.logits)) AS row
    FROM main_classification c LEFT JOIN ml_algorithm a ON a.id = c.algorithm_id
    UNION ALL
    SELECT (o.id, o.determination_id, round(o.determination_score::numeric, 6),
            NULL, NULL, NULL, NULL, NULL)
    FROM main_occurrence o
) rows
"""

SIZES = VectorSizes(rows=5_000, classes=1_000)
MANY = VectorSizes(rows=70_000, classes=2_500, with_scores=False)
WIDE = VectorSizes(rows=500, classes=29_000, with_scores=False)
QUICK = VectorSizes(rows=200, classes=100)
QUICK_MANY = VectorSizes(rows=2_000, classes=50, with_scores=False)
QUICK_WIDE = VectorSizes(rows=50, classes=2_000, with_scores=False)
ROUNDS = 3


@contextmanager
def _fresh(database: str) -> Iterator[None]:
    with databases.copied(database):
        databases.warm()
        yield


def compare(
    candidates: Mapping[str, Callable[[], object]],
    *,
    same: set[str],
    quick: bool,
    sizes: VectorSizes | None = None,
    name: str = "vectors",
) -> dict[str, Seconds]:
    """The seconds of each candidate on fresh copies; those in `same` must leave the same rows.

    The copies are of the database `name` with rows of these `sizes`.
    """
    sizes = sizes or (QUICK if quick else SIZES)
    database = databases.seeded(f"quick_{name}" if quick else name, sizes, fill=fill)
    outcomes: set[str] = set()

    def time_on_copy(name: str, work: Callable[[], object]) -> Seconds:
        with _fresh(database):
            seconds = timed(work)
            if name in same:
                with connection.cursor() as cursor:
                    cursor.execute(OUTCOME)
                    outcomes.add(cursor.fetchone()[0])
        return seconds

    seconds = interleaved(
        {name: partial(time_on_copy, name, work) for name, work in candidates.items()},
        rounds=1 if quick else ROUNDS,
    )
    if quick:
        databases.drop(database)
    if len(outcomes) != 1:
        sys.exit("The task and its peer left different rows, so their times say nothing.")
    return seconds


def large_runs(benchmark: str, *, quick: bool) -> Iterator[Figure]:
    """The time to the first progress, the memory and the rate, on many rows and on wide rows."""
    for label, full, few in (("many", MANY, QUICK_MANY), ("wide", WIDE, QUICK_WIDE)):
        size = few if quick else full
        name = f"quick_{label}" if quick else label
        database = databases.seeded(f"vectors_{name}", size, fill=fill)
        with _fresh(database):
            peak, times = measure(benchmark, connection.settings_dict["NAME"])
        if quick:
            databases.drop(database)
        title = f"{size.rows:,} rows of {size.classes:,} classes"
        yield Figure(f"{title}: rows per second", size.rows / (times[-1] - times[0]))
        yield Figure(f"{title}: first progress", times[1] - times[0], "s", at_most=2)
        yield Figure(f"{title}: peak memory", peak / 2**20, "MB", at_most=600)
        if label == "many":
            yield Figure(f"{title}: second half ÷ first half", _slowdown(times), at_most=1.2)


def _slowdown(times: list[float]) -> float:
    """The time of the second half of the batches as a multiple of the time of the first half."""
    middle = len(times) // 2
    return (times[-1] - times[-1 - middle]) / (times[middle] - times[0])
