"""The small size filter compared with hand-written SQL and row-by-row code, on fresh copies."""

import sys
from collections.abc import Callable
from functools import partial

from django.db import connection

from ami.jobs.models import Job
from ami.main.management.scale import Sizes
from ami.ml.post_processing.batches import plan_batches
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from benchmarks import databases, peers
from benchmarks.fresh import capture_set, fresh
from benchmarks.memory import measure
from benchmarks.report import Figure
from benchmarks.timing import QueryCounter, Seconds, interleaved, timed

TITLE = "Small size filter"
ROUNDS = 5
SIZES = Sizes(
    captures=2_000, occurrences=26_000, detections=28_000, classifications=44_000,
    identifications=1_300, taxa=0,
)  # fmt: skip

# Everything on which the three must agree, in an order that does not depend on ids.
OUTCOME = """
SELECT md5(string_agg(row::text, ' ' ORDER BY row::text)) FROM (
    SELECT (c.detection_id, t.name, c.score, c.terminal, a.key, c.applied_to_id,
            c.job_id, c.metadata) AS row
    FROM main_classification c
    LEFT JOIN main_taxon t ON t.id = c.taxon_id LEFT JOIN ml_algorithm a ON a.id = c.algorithm_id
    UNION ALL
    SELECT (o.id, t.name, o.determination_score, NULL, NULL, NULL, NULL, NULL)
    FROM main_occurrence o LEFT JOIN main_taxon t ON t.id = o.determination_id
) rows
"""


def run(*, quick: bool) -> list[Figure]:
    sizes = SIZES.scaled(0.02) if quick else SIZES
    if quick:
        SmallSizeFilterTask.batch_size //= 50  # so that ten times the rows are more batches
    small = databases.seeded("quick" if quick else "filter", sizes)
    large = databases.seeded("quick_tenfold" if quick else "filter_tenfold", sizes.scaled(10))
    try:
        return [
            *_speed(small, detections=sizes.detections, rounds=1 if quick else ROUNDS),
            *_queries(small, large, detections=sizes.detections),
            *_memory(small, large, detections=sizes.detections),
        ]
    finally:
        if quick:
            databases.drop(small)
            databases.drop(large)


def run_task() -> None:
    """Run the task as a worker does, on the capture set that holds every capture."""
    SmallSizeFilterTask(job=_job(), source_image_collection_id=capture_set()).run()


def _job() -> Job:
    return Job.objects.create(name=SmallSizeFilterTask.name, job_type_key=JOB_TYPE)


def _speed(database: str, *, detections: int, rounds: int) -> list[Figure]:
    candidates: dict[str, Callable[[], object]] = {
        "task": run_task,
        "SQL": lambda: peers.single_statements(capture_set(), job=_job()),
        "row by row": lambda: peers.row_by_row(capture_set(), job=_job()),
    }
    outcomes: set[str] = set()
    seconds = interleaved(
        {
            name: partial(_time_on_copy, database, work, outcomes)
            for name, work in candidates.items()
        },
        rounds=rounds,
    )
    if len(outcomes) != 1:
        sys.exit("The task and its peers left different rows, so their times say nothing.")
    return [
        Figure(f"task, {detections:,} detections", seconds["task"], "s"),
        Figure(f"task, {detections:,} detections: CPU", seconds["task"].cpu, "s"),
        Figure("rows checked per second", detections / seconds["task"]),
        Figure("SQL in single statements", seconds["SQL"], "s"),
        Figure("row by row", seconds["row by row"], "s"),
        Figure("task ÷ SQL", seconds["task"] / seconds["SQL"], at_most=2),
        Figure("row by row ÷ task", seconds["row by row"] / seconds["task"], at_least=100),
    ]


def _time_on_copy(database: str, work: Callable[[], object], outcomes: set[str]) -> Seconds:
    with fresh(database):
        seconds = timed(work)
        with connection.cursor() as cursor:
            cursor.execute(OUTCOME)
            outcomes.add(cursor.fetchone()[0])
    return seconds


def _queries(small: str, large: str, *, detections: int) -> list[Figure]:
    queries, batches = _count_queries(small)
    more_queries, more_batches = _count_queries(large)
    a_batch = (more_queries - queries) / (more_batches - batches)
    return [
        Figure(f"queries, {detections:,} detections in {batches} batches", queries),
        Figure(f"queries, {10 * detections:,} detections in {more_batches} batches", more_queries),
        Figure("queries for each further batch", a_batch),
    ]


def _count_queries(database: str) -> tuple[int, int]:
    """The number of statements and the number of batches of a run."""
    with fresh(database):
        with QueryCounter() as counter:
            run_task()
        task = SmallSizeFilterTask(source_image_collection_id=capture_set())
        return counter.count, len(plan_batches(task.scope, size=task.batch_size))


def _memory(small: str, large: str, *, detections: int) -> list[Figure]:
    peaks = [_peak_memory(small), _peak_memory(large)]
    return [
        Figure(f"peak memory, {detections:,} detections", peaks[0] / 2**20, "MB"),
        Figure(f"peak memory, {10 * detections:,} detections", peaks[1] / 2**20, "MB"),
        Figure("peak memory, tenfold ÷ onefold", peaks[1] / peaks[0], at_most=1.2),
    ]


def _peak_memory(database: str) -> int:
    with fresh(database):
        peak, _ = measure("small_size_filter", connection.settings_dict["NAME"])
    return peak
