"""Track consensus compared with only reading the distributions."""

import numpy as np

from ami.ml.post_processing.track_consensus import TrackConsensusTask
from ami.ml.post_processing.track_consensus.fusing import Fusion
from benchmarks.report import Figure
from benchmarks.vector_rows import VectorSizes, options, reading_alone, run_timed
from benchmarks.vector_runs import compare

TITLE = "Track consensus"
SIZES = VectorSizes(rows=20_000, classes=1_000, frames=10)
QUICK = VectorSizes(rows=200, classes=100, frames=10)


def run_task() -> list[float]:
    return run_timed(TrackConsensusTask)


def run_without_journal() -> None:
    TrackConsensusTask(**options(TrackConsensusTask)).run()


def fuse_alone(sizes: VectorSizes) -> None:
    """Fuse as many distributions, which are in memory, by the rule `mean`."""
    rows = min(sizes.rows, 1_000)
    shares = np.random.default_rng(0).random((rows, sizes.classes))
    individuals = np.arange(rows) // sizes.frames
    fusion = Fusion(rows // sizes.frames, sizes.classes, "mean")
    for _ in range(sizes.rows // rows):
        fusion.add(individuals, np.ones(rows), shares)
    fusion.result()


def run(*, quick: bool) -> list[Figure]:
    sizes = QUICK if quick else SIZES
    seconds = compare(
        {
            "task": run_task,
            "without a journal": run_without_journal,
            "reading alone": lambda: reading_alone("scores"),
            "fusing alone": lambda: fuse_alone(sizes),
        },
        same={"task", "without a journal"},
        quick=quick,
        sizes=sizes,
        name="tracks",
    )
    title = (
        f"task, {sizes.rows:,} detections of {sizes.classes:,} classes in tracks of {sizes.frames}"
    )
    return [
        Figure(title, seconds["task"], "s"),
        Figure(f"{title}: CPU", seconds["task"].cpu, "s"),
        Figure("detections per second", sizes.rows / seconds["task"]),
        Figure("detections per CPU second", sizes.rows / seconds["task"].cpu),
        Figure("reading alone", seconds["reading alone"], "s"),
        Figure("reading alone: CPU", seconds["reading alone"].cpu, "s"),
        Figure(
            "reading alone: detections per CPU second", sizes.rows / seconds["reading alone"].cpu
        ),
        Figure(
            "fusing alone: detections per CPU second",
            sizes.rows / seconds["fusing alone"].cpu,
            at_least=20_000,
        ),
        *(
            Figure(
                f"{name} ÷ reading alone: CPU",
                seconds[name].cpu / seconds["reading alone"].cpu,
                at_most=2,
            )
            for name in ("task", "without a journal")
        ),
    ]
