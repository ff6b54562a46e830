"""Compare many values of an option from one reading of the rows."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import Chosen
from ami.review.sweep.answers import Answers
from ami.review.sweep.standing import Standing
from ami.review.sweep.tasks import FEW, picked, prepared

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

    Each portion of the occurrences is read once for all options that consult the same.
    """
    parsed = [task_cls.config_schema(**config) for config in configs]
    groups = [
        (prepared(task_cls, configs[places[0]], chosen), places)
        for places in _alike(task_cls, configs)
    ]
    started, done, size = time.monotonic(), 0, FEW
    before: list[Names] = []
    after: list[list[Names]] = [[] for _ in configs]
    while done < len(answers.occurrences):
        some = answers.occurrences[done : done + size]
        standing = Standing(some)
        before.append(standing.names())
        batch = picked(groups[0][0], chosen, some.tolist())
        for task, places in groups:
            changes = task.compare(batch, [parsed[place] for place in places])
            for place, change in zip(places, changes, strict=True):
                after[place].append(standing.names(change))
        done += len(some)
        spent = time.monotonic() - started
        if spent >= seconds:
            break
        # At most half of those that there is time for, because later portions may be slower.
        affordable = int(done / max(spent, 1e-6) * (seconds - spent) / 2)
        size = min(groups[0][0].batch_size, max(1, affordable))
    return np.concatenate(before), [np.concatenate(names) for names in after]


def _alike(
    task_cls: type[BasePostProcessingTask], configs: Sequence[dict[str, Any]]
) -> Iterator[list[int]]:
    """The places of options that differ in decimal numbers only."""
    fields = task_cls.config_schema.__fields__
    kinds: dict[str, Any] = {name: field.type_ for name, field in fields.items()}
    rest = [
        name
        for name, kind in kinds.items()
        if not (isinstance(kind, type) and issubclass(kind, float))
    ]
    groups: dict[str, list[int]] = defaultdict(list)
    for place, config in enumerate(configs):
        key = json.dumps([config.get(name) for name in rest], default=str)
        groups[key].append(place)
    return iter(groups.values())
