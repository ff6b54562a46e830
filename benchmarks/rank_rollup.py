"""Rank rollup compared with row-by-row code."""

from ami.ml.post_processing.rank_rollup import RankRollupTask
from benchmarks.report import Figure
from benchmarks.vector_peers import roll_up_row_by_row
from benchmarks.vector_rows import make_job, run_timed
from benchmarks.vector_runs import QUICK, SIZES, compare, large_runs

TITLE = "Rank rollup"


def run_task() -> list[float]:
    return run_timed(RankRollupTask)


def run(*, quick: bool) -> list[Figure]:
    seconds = compare(
        {
            "task": run_task,
            "row by row": lambda: roll_up_row_by_row(make_job(RankRollupTask)),
        },
        same={"task", "row by row"},
        quick=quick,
    )
    sizes = QUICK if quick else SIZES
    title = f"task, {sizes.rows:,} rows of {sizes.classes:,} classes"
    return [
        Figure(title, seconds["task"], "s"),
        Figure(f"{title}: CPU", seconds["task"].cpu, "s"),
        Figure("rows per second", sizes.rows / seconds["task"]),
        Figure("row by row", seconds["row by row"], "s"),
        Figure("row by row: CPU", seconds["row by row"].cpu, "s"),
        Figure("row by row ÷ task", seconds["row by row"] / seconds["task"], at_least=50),
        *large_runs("rank_rollup", quick=quick),
    ]
