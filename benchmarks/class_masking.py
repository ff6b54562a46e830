"""Class masking compared with row-by-row code and with only reading and writing the arrays."""

from ami.ml.post_processing.class_masking import ClassMaskingTask
from benchmarks.report import Figure
from benchmarks.vector_peers import mask_row_by_row
from benchmarks.vector_rows import arrays_alone, make_job, run_timed
from benchmarks.vector_runs import QUICK, SIZES, compare, large_runs

TITLE = "Class masking"


def run_task() -> list[float]:
    return run_timed(ClassMaskingTask)


def run(*, quick: bool) -> list[Figure]:
    seconds = compare(
        {
            "task": run_task,
            "row by row": lambda: mask_row_by_row(make_job(ClassMaskingTask)),
            "arrays alone": lambda: arrays_alone("scores", "logits"),
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
        Figure("arrays alone, read and written", seconds["arrays alone"], "s"),
        Figure("arrays alone: CPU", seconds["arrays alone"].cpu, "s"),
        Figure("row by row ÷ task", seconds["row by row"] / seconds["task"], at_least=50),
        Figure("task ÷ arrays alone", seconds["task"] / seconds["arrays alone"], at_most=3),
        Figure(
            "task ÷ arrays alone: CPU",
            seconds["task"].cpu / seconds["arrays alone"].cpu,
            at_most=1.5,
        ),
        *large_runs("class_masking", quick=quick),
    ]
