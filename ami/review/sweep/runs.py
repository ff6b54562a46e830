"""Compare many values of an option by one run with each, on the identified occurrences."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from ami.main.determinations import MACHINE, OF_ONE
from ami.main.models import Identification
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import EVENT, OCCURRENCE, PickedBatch
from ami.ml.post_processing.scopes import Chosen
from ami.review.sweep.answers import Answers
from ami.review.sweep.tasks import FEW, picked, prepared

FEWEST = 100  # that are compared, however long it takes

Names = NDArray[np.int64]

# The name by classifications alone of the occurrence to which each identification belongs now.
NAMES = f"""
SELECT COALESCE(CASE WHEN t.identifiable THEN machine.taxon_id END, 0)
FROM unnest(%s::bigint[]) WITH ORDINALITY AS asked (id, place)
JOIN main_identification i ON i.id = asked.id
JOIN main_occurrence o ON o.id = i.occurrence_id
LEFT JOIN LATERAL ({MACHINE.format(**OF_ONE)} LIMIT 1) machine ON true
LEFT JOIN main_taxon t ON t.id = machine.taxon_id
ORDER BY asked.place
"""  # noqa: S608 -- constants


def in_runs(
    task_cls: type[BasePostProcessingTask],
    configs: Sequence[dict[str, Any]],
    chosen: Chosen,
    answers: Answers,
    *,
    seconds: float,
) -> tuple[Names, list[Names]]:
    """The names now and after a run with each of these options, each rolled back.

    Of as many answers as there is time for.
    """
    answers = answers.first(_affordable(task_cls, configs, chosen, answers, seconds))
    before = _names(answers)
    return before, [_names_with(task_cls, config, chosen, answers) for config in configs]


def _affordable(
    task_cls: type[BasePostProcessingTask],
    configs: Sequence[dict[str, Any]],
    chosen: Chosen,
    answers: Answers,
    seconds: float,
) -> int:
    """How many of the answers there is time for, found by trying one value on more and more."""
    number, whole = min(FEW, len(answers.occurrences)), len(answers.occurrences)
    _names_with(task_cls, configs[-1], chosen, answers.first(number))  # the first run reads disks
    while True:
        start = time.monotonic()
        _names_with(task_cls, configs[-1], chosen, answers.first(number))
        expected = (time.monotonic() - start) * (len(configs) + 1)
        if number == whole and expected <= seconds:
            return whole
        if number == whole or expected > seconds / 4:
            return max(FEWEST, min(whole, int(number * seconds / expected)))
        number = min(2 * number, whole)


def _names_with(
    task_cls: type[BasePostProcessingTask],
    config: dict[str, Any],
    chosen: Chosen,
    answers: Answers,
) -> NDArray[np.int64]:
    with _rolled_back():
        if task_cls.unit == EVENT:
            _unlock(answers)
        task = prepared(task_cls, config, chosen)
        for batch in _batches(task, chosen, answers):
            task.process(batch)
        return _names(answers)


@contextmanager
def _rolled_back() -> Iterator[None]:
    savepoint = transaction.savepoint()
    try:
        yield
    finally:
        transaction.savepoint_rollback(savepoint)


def _batches(
    task: BasePostProcessingTask, chosen: Chosen, answers: Answers
) -> Iterator[PickedBatch]:
    units = np.unique(answers.units)
    units = units[units > 0]
    if task.unit == OCCURRENCE:
        parts = np.array_split(units, max(1, len(units) // task.batch_size))
    else:
        parts = [units[place : place + 1] for place in range(len(units))]
    for part in parts:
        if len(part):
            yield picked(task, chosen, part.tolist())


def _unlock(answers: Answers) -> None:
    """Take the answers of these nights back, because no run joins or splits what people identified.

    The names are then those that such occurrences get which nobody has identified yet.
    """
    nights = np.unique(answers.units).tolist()
    said = Identification.objects.filter(occurrence__event__in=nights, withdrawn=False)
    said.update(withdrawn=True)


def _names(answers: Answers) -> NDArray[np.int64]:
    with connection.cursor() as cursor:
        cursor.execute(NAMES, [answers.identifications.tolist()])
        return np.array([pk for (pk,) in cursor.fetchall()], dtype=np.int64)
