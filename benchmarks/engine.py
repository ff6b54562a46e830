"""The overhead of the engine (parts, journal, cursor, counters), and how it scales."""

import sys
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

from ami.jobs.engine import runner
from ami.jobs.engine.work import Planned, PlannedWork
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.states import JobFailedError
from ami.main.models import Occurrence, SourceImageCollection
from ami.ml.post_processing.scopes import SCOPES
from ami.ml.post_processing.service import JOB_TYPE, LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from benchmarks import databases
from benchmarks.fresh import capture_set, fresh
from benchmarks.report import Figure
from benchmarks.small_size_filter import SIZES, run_task
from benchmarks.timing import interleaved, timed
from benchmarks.workers import worker

TITLE = "Run engine"
ROUNDS = 3
FACTORS = {"filter": 1.0, "filter_tenfold": 10.0, "filter_fiftyfold": 50.0}
DEADLINE = 600


def run(*, quick: bool) -> list[Figure]:
    rounds = 1 if quick else ROUNDS
    factors = {"quick": 0.1, "quick_tenfold": 1.0} if quick else FACTORS
    sizes = [SIZES.scaled(factor) for factor in factors.values()]
    names = [databases.seeded(*one) for one in zip(factors, sizes, strict=True)]
    middle, detections = names[1], sizes[1].detections
    try:
        return [
            *_share(middle, detections=detections, rounds=rounds),
            *_start(names[0], rounds=rounds),
            *_workers(names[-1], detections=sizes[-1].detections, rounds=rounds),
            *_rates(
                dict(zip((size.detections for size in sizes), names, strict=True)), rounds=rounds
            ),
        ]
    finally:
        if quick:
            for name in names:
                databases.drop(name)


def run_bare() -> None:
    """Run only the method's batches, in transactions."""
    SmallSizeFilterTask(source_image_collection_id=capture_set()).run()


def run_dry() -> None:
    job = Job.objects.create(name=SmallSizeFilterTask.name, job_type_key=JOB_TYPE, dry_run=True)
    SmallSizeFilterTask(job=job, source_image_collection_id=capture_set()).run()


def _share(database: str, *, detections: int, rounds: int) -> list[Figure]:
    candidates: dict[str, Callable[[], None]] = {
        "bare": run_bare,
        "engine": run_task,
        "dry": run_dry,
    }
    seconds = interleaved(
        {name: partial(_time_on_copy, database, work) for name, work in candidates.items()},
        rounds=rounds,
    )
    return [
        Figure(f"bare batches, {detections:,} detections", seconds["bare"], "s"),
        Figure("the same as a Job: parts, journal, cursor, counters", seconds["engine"], "s"),
        Figure("as a dry run", seconds["dry"], "s"),
        Figure("Job ÷ bare batches", seconds["engine"] / seconds["bare"], at_most=1.35),
        Figure("dry run ÷ Job", seconds["dry"] / seconds["engine"], at_most=1.2),
    ]


def _start(database: str, *, rounds: int) -> list[Figure]:
    """Measure the time from the claim of a Job of one detection to its first batch."""
    waits = interleaved({"start": partial(_time_to_first_batch, database)}, rounds=rounds)
    return [Figure("from claim to first batch", 1000 * waits["start"], "ms", at_most=100)]


def _time_to_first_batch(database: str) -> float:
    """The seconds from the claim to the first batch of a Job on a small scope."""
    first: list[float] = []

    def note(part: JobPart, work: PlannedWork, batch: Planned) -> None:
        first.append(time.perf_counter())
        raise JobFailedError("Measured.")

    with databases.copied(database), mock.patch("ami.jobs.engine.parts.do_batch", note):
        job = _queue(Occurrence.objects.filter(detections__isnull=False).earliest("pk"))
        begun = time.perf_counter()
        runner.run(job.pk)
    return first[0] - begun


def _time_with_workers(database: str, count: int) -> float:
    """The seconds from the claim to the end, as recorded by the Job."""
    with fresh(database), worker(processes=count):
        job = _queue(SourceImageCollection.objects.get(pk=capture_set()))
        deadline = time.monotonic() + DEADLINE
        while not job.is_final and time.monotonic() < deadline:
            time.sleep(0.1)
            job.refresh_from_db()
    if job.status != JobState.SUCCESS or job.duration is None:
        sys.exit(f"The measured Job is {job.get_status_display().lower()}: {job.error}")
    return job.duration.total_seconds()


def _queue(row: Occurrence | SourceImageCollection) -> Job:
    scope = next(scope for scope in SCOPES if scope.model is type(row))
    config = {scope.field: row.pk}
    return launch(SmallSizeFilterTask, [LaunchRow("Measured", None, config)])[0]


def _workers(database: str, *, detections: int, rounds: int) -> list[Figure]:
    seconds = interleaved(
        {str(count): partial(_time_with_workers, database, count) for count in (1, 2)},
        rounds=rounds,
    )
    return [
        Figure(f"one worker process, {detections:,} detections", seconds["1"], "s"),
        Figure("two worker processes", seconds["2"], "s"),
        Figure("one worker ÷ two", seconds["1"] / seconds["2"], at_least=1.6),
    ]


def _rates(names: dict[int, str], *, rounds: int) -> list[Figure]:
    seconds = interleaved(
        {str(size): partial(_time_on_copy, name, run_task) for size, name in names.items()},
        rounds=rounds,
    )
    rates = {size: size / seconds[str(size)] for size in names}
    return [
        *(Figure(f"rows per second, {size:,} detections", rate) for size, rate in rates.items()),
        Figure("slowest rate ÷ fastest", min(rates.values()) / max(rates.values()), at_least=0.8),
    ]


def _time_on_copy(database: str, work: Callable[[], None]) -> float:
    with fresh(database):
        return timed(work)
