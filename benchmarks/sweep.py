"""Fifty thresholds of the size filter, tried on the identified occurrences of a capture set."""

from functools import partial

import numpy as np

from ami.main.models import SourceImageCollection
from ami.ml.post_processing.scopes import SCOPES, Chosen
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.review.sweep.result import Sweep, sweep
from ami.review.sweep.run import try_values
from benchmarks import databases
from benchmarks.fresh import capture_set, fresh
from benchmarks.report import Figure
from benchmarks.small_size_filter import SIZES
from benchmarks.timing import interleaved, timed

TITLE = "Sweep of a threshold"
ROUNDS = 3
THRESHOLDS = np.geomspace(0.0001, 0.0064, 50).tolist()
SETS = next(scope for scope in SCOPES if scope.model is SourceImageCollection)


def run(*, quick: bool) -> list[Figure]:
    sizes = SIZES.scaled(0.1 if quick else 10)
    database = databases.seeded("quick" if quick else "filter_tenfold", sizes)
    found: list[Sweep] = []
    with fresh(database):
        work = partial(timed, lambda: found.append(run_task()))
        seconds = interleaved({"sweep": work}, rounds=1 if quick else ROUNDS)["sweep"]
    if quick:
        databases.drop(database)
    return [
        Figure(f"50 thresholds, {sizes.detections:,} detections", seconds, "s", at_most=10),
        Figure("identified occurrences in scope", found[-1].total),
        Figure("of these, compared", found[-1].occurrences),
    ]


def run_task() -> Sweep:
    chosen = Chosen(SETS, [capture_set()], foreign=[])
    configs = [
        {"size_threshold": value, "source_image_collection_id": chosen.ids[0]}
        for value in THRESHOLDS
    ]
    values = [(value, f"{value:.3g}") for value in THRESHOLDS]
    return sweep(try_values(SmallSizeFilterTask, configs, chosen), values)
