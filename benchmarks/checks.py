"""The integrity checks: a repair compared with row-by-row code, the report, and `/healthz`."""

import logging
import sys
from collections.abc import Callable
from functools import partial

from django.db import connection
from django.test import Client

from ami.integrity.finding import EVERYTHING
from ami.integrity.models import IntegrityResult
from ami.integrity.runner import run_checks
from ami.integrity.service import new_repair, repair_here
from ami.main.checks.declarations import CHECKS, chosen_checks
from ami.main.management.scale import Sizes
from benchmarks import databases, peers
from benchmarks.memory import measure
from benchmarks.report import Figure
from benchmarks.timing import QueryCounter, Seconds, interleaved, timed

TITLE = "Integrity checks"
ROUNDS = 5
KEY = "missing_determination"
REPAIRED = 10_000
MANY = 1_000_000

CLEAR = """
UPDATE main_occurrence SET determination_id = NULL, determination_score = NULL WHERE id IN (
    SELECT id FROM main_occurrence WHERE determination_id IS NOT NULL ORDER BY id LIMIT %s
)
"""
OUTCOME = """
SELECT md5(string_agg((id, determination_id, determination_score)::text, ' ' ORDER BY id))
FROM main_occurrence
"""


def run(*, quick: bool) -> list[Figure]:
    sizes = Sizes().scaled(0.01)
    small = databases.seeded("quick" if quick else "hundredth", sizes)
    full = databases.seeded("quick_full" if quick else "full", sizes if quick else Sizes())
    try:
        return [
            *_speed(small, rounds=1 if quick else ROUNDS),
            *_queries(small),
            *_memory(full, many=REPAIRED if quick else MANY),
            *_report(full),
            *_healthz(full),
        ]
    finally:
        if quick:
            databases.drop(small)
            databases.drop(full)


def run_task() -> None:
    """Run the repair, a Job: with plan, journal, second examination and history."""
    repair_here(new_repair([CHECKS[KEY]], scope=EVERYTHING))


def _speed(database: str, *, rounds: int) -> list[Figure]:
    candidates: dict[str, Callable[[], object]] = {
        "repair": run_task,
        "row by row": peers.determine_row_by_row,
    }
    outcomes: set[str] = set()
    _time_on_copy(database, run_task, outcomes)  # the first call in a process includes the imports
    seconds = interleaved(
        {
            name: partial(_time_on_copy, database, work, outcomes)
            for name, work in candidates.items()
        },
        rounds=rounds,
    )
    if len(outcomes) != 1:
        sys.exit("The repair and its peer left different rows, so their times say nothing.")
    ratio = seconds["row by row"] / seconds["repair"]
    return [
        Figure(f"{KEY}, repair of {REPAIRED:,} occurrences", seconds["repair"], "s"),
        Figure(f"{KEY}, the same: CPU", seconds["repair"].cpu, "s"),
        Figure("row by row: load, recompute, save()", seconds["row by row"], "s"),
        Figure("row by row ÷ repair", ratio, at_least=50),
    ]


def _time_on_copy(database: str, work: Callable[[], object], outcomes: set[str]) -> Seconds:
    with databases.copied(database):
        _clear(REPAIRED)
        seconds = timed(work)
        with connection.cursor() as cursor:
            cursor.execute(OUTCOME)
            outcomes.add(cursor.fetchone()[0])
    return seconds


def _clear(rows: int) -> None:
    """Remove the determination of `rows` occurrences, and vacuum so that the repair need not."""
    with connection.cursor() as cursor:
        cursor.execute(CLEAR, [rows])
        cursor.execute("VACUUM ANALYZE main_occurrence")
    databases.warm()


def _queries(database: str) -> list[Figure]:
    counts = [_count_queries(database, rows) for rows in (5_000, 10_000)]
    return [Figure("queries for each further batch of 5,000", counts[1] - counts[0], at_most=20)]


def _count_queries(database: str, rows: int) -> int:
    with databases.copied(database):
        _clear(rows)
        with QueryCounter() as counter:
            run_task()
    return counter.count


def _memory(database: str, *, many: int) -> list[Figure]:
    peaks = {rows: _peak_memory(database, rows) for rows in (many // 100, many)}
    few = many // 100
    return [
        *(
            Figure(f"peak memory, {rows:,} occurrences", peak / 2**20, "MB")
            for rows, peak in peaks.items()
        ),
        Figure("peak memory, hundredfold ÷ onefold", peaks[many] / peaks[few], at_most=1.2),
    ]


def _peak_memory(database: str, rows: int) -> int:
    with databases.copied(database):
        _clear(rows)
        peak, _ = measure("checks", connection.settings_dict["NAME"])
    return peak


def _report(database: str) -> list[Figure]:
    with databases.opened(database):
        databases.warm()
        results: list[IntegrityResult] = []
        seconds = timed(lambda: run_checks(chosen_checks(), on_result=results.append))
    if broken := [f"{result.key}: {result.error}" for result in results if result.error]:
        sys.exit(f"A check could not run, so its time says nothing. {broken[0]}")
    slowest = max(results, key=lambda result: result.seconds)
    return [
        Figure("the whole report", seconds, "s", at_most=10),
        Figure("the whole report: CPU", seconds.cpu, "s"),
        Figure(f"its slowest check, {slowest.key}", slowest.seconds, "s", at_most=20),
    ]


def _healthz(database: str) -> list[Figure]:
    """Measure a site whose beat never reported; other sites take the same time."""
    logging.disable(logging.ERROR)  # each 503 is logged as an error
    client = Client()
    with databases.opened(database):
        seconds = interleaved(
            {"healthz": lambda: timed(partial(client.get, "/healthz"))}, rounds=25
        )
    return [Figure("/healthz", 1000 * seconds["healthz"], "ms", at_most=50)]
