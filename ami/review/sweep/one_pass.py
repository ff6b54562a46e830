"""Compare many values of an option from one reading of the rows."""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ami.base.ids import RowId
from ami.jobs.engine import basis
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import OCCURRENCE, PickedBatch
from ami.ml.post_processing.measures import Gauge
from ami.ml.post_processing.scopes import Chosen
from ami.review.sweep.answers import Answers
from ami.review.sweep.standing import Standing

FEW = 200  # occurrences that tell how fast a method is

Names = NDArray[np.int64]


def in_one_pass(
    task_cls: type[BasePostProcessingTask],
    configs: Sequence[dict[str, Any]],
    chosen: Chosen,
    answers: Answers,
    *,
    seconds: float,
) -> tuple[Names, list[Names]]:
    """The names now and with each of these options, of as many answers as there is time for.

    Each portion is read once for all options that consult the same.
    """
    parsed = [task_cls.config_schema(**config) for config in configs]
    groups = [
        (_prepared(task_cls, configs[places[0]], chosen), places)
        for places in _alike(task_cls, configs)
    ]
    first = groups[0][0]
    before: list[Names] = []
    after: list[list[Names]] = [[] for _ in configs]
    for portion in _portions(first, answers.units, seconds=seconds):
        batch = _picked(first, chosen, answers.units[portion].tolist())
        movable = batch.detections.values_list("pk", "occurrence_id")
        some = answers.occurrences[portion]
        standing = Standing(some, () if first.unit == OCCURRENCE else movable)
        before.append(standing.names())
        for task, places in groups:
            changes = task.compare(batch, [parsed[place] for place in places])
            for place, change in zip(places, changes, strict=True):
                after[place].append(standing.names(change))
    return np.concatenate(before), [np.concatenate(names) for names in after]


def _prepared(
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


def _picked(task: BasePostProcessingTask, chosen: Chosen, units: Collection[int]) -> PickedBatch:
    """Return the batch of these units, of which there is at least one."""
    ids = frozenset(units)
    return PickedBatch(chosen, task.unit, False, min(ids), max(ids), ids=ids)


def _portions(
    task: BasePostProcessingTask, units: NDArray[np.int64], *, seconds: float
) -> Iterator[slice]:
    """Portions of the answers about these units, as many as there is time for."""
    started, done, size = time.monotonic(), 0, FEW
    ends = np.flatnonzero(np.diff(units, append=-1)) + 1
    while done < len(units):
        if task.unit != OCCURRENCE:
            size = 1  # one unit, which has many more detections than answers
        end = int(ends[np.searchsorted(ends, min(done + size, len(units)))])
        yield slice(done, end)
        done, spent = end, time.monotonic() - started
        if spent >= seconds:
            return
        # At most half of those that there is time for, because later portions may be slower.
        affordable = int(done / max(spent, 1e-6) * (seconds - spent) / 2)
        size = min(task.batch_size, max(1, affordable))


def _alike(
    task_cls: type[BasePostProcessingTask], configs: Sequence[dict[str, Any]]
) -> Iterator[list[int]]:
    """The places of options that differ in numbers only."""
    fields = task_cls.config_schema.__fields__
    rest = [name for name, field in fields.items() if not _is_number(field.type_)]
    groups: dict[str, list[int]] = defaultdict(list)
    for place, config in enumerate(configs):
        key = json.dumps([config.get(name) for name in rest], default=str)
        groups[key].append(place)
    return iter(groups.values())


def _is_number(kind: Any) -> bool:
    if not isinstance(kind, type) or issubclass(kind, bool | RowId):
        return False
    return issubclass(kind, int | float)
