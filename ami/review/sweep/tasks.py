"""Methods that are run on some units of a scope, outside of a Job."""

from collections.abc import Collection
from typing import Any

from ami.jobs.engine import basis
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import PickedBatch
from ami.ml.post_processing.measures import Gauge
from ami.ml.post_processing.scopes import Chosen

FEW = 200  # occurrences that tell how fast a method is


def prepared(
    task_cls: type[BasePostProcessingTask], config: dict[str, Any], chosen: Chosen
) -> BasePostProcessingTask:
    """Return the method with these options, ready for its first batch."""
    task = task_cls(**config)
    task._chosen = chosen
    task.gauge = Gauge()  # so that planning leaves the batches to the caller
    basis.fix(task)
    task.plan()
    task.gauge = None
    task.prepare()
    return task


def picked(task: BasePostProcessingTask, chosen: Chosen, units: Collection[int]) -> PickedBatch:
    """Return the batch of these units, of which there is at least one."""
    ids = frozenset(units)
    return PickedBatch(chosen, task.unit, False, min(ids), max(ids), ids=ids)
