"""The effect of a size filter run on the occurrences that people have identified."""

from dataclasses import replace
from functools import partial

from django.db import connection

from ami.jobs.models import Job
from ami.main.management.scale import Sizes
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.review.effect.report import effect_of
from benchmarks import databases
from benchmarks.fresh import capture_set, fresh
from benchmarks.memory import measure
from benchmarks.report import Figure
from benchmarks.small_size_filter import SIZES
from benchmarks.timing import interleaved, timed

TITLE = "Effect of a run"
ROUNDS = 3
VALID = 0.9  # of the seeded identifications; the others are withdrawn


def run(*, quick: bool) -> list[Figure]:
    few, many = (1_000, 10_000) if quick else (10_000, 100_000)
    figures: list[Figure] = []
    peaks = []
    for identified in (few, many):
        label = f"effect_{identified}"
        database = databases.seeded(label, sizes_of(identified, quick=quick))
        with fresh(database):
            _run_filter()
            name = connection.settings_dict["NAME"]
            seconds = interleaved(
                {"effect": partial(timed, run_task)}, rounds=1 if quick else ROUNDS
            )["effect"]
            peak, found = measure("effect", name)
        peaks.append(peak)
        of = f"{found:,} identified occurrences"
        figures += [
            Figure(f"effect on {of}", seconds, "s", at_most=5),
            Figure(f"effect on {of}: CPU", seconds.cpu, "s"),
            Figure(f"peak memory, {of}", peak / 2**20, "MB"),
        ]
        if quick:
            databases.drop(database)
    return [*figures, Figure("peak memory, tenfold ÷ onefold", peaks[1] / peaks[0], at_most=1.3)]


def run_task() -> int:
    """Compute the effect of the last Job; return the number of identified occurrences."""
    return effect_of([Job.objects.latest("pk")]).identified


def sizes_of(identified: int, *, quick: bool) -> Sizes:
    sizes = SIZES.scaled(1 if quick else 10)
    return replace(sizes, identifications=round(identified / VALID))


def _run_filter() -> None:
    options = {"source_image_collection_id": capture_set()}
    job = Job.objects.create(
        name=SmallSizeFilterTask.name, job_type_key=JOB_TYPE, params={"config": options}
    )
    SmallSizeFilterTask(job=job, source_image_collection_id=capture_set()).run()
