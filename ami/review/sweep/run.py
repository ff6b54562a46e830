"""The names that a method gives with many values of one option; nothing is written."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from django.db import OperationalError, connection, transaction
from numpy.typing import NDArray

from ami.jobs.engine import basis
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import Chosen
from ami.review.sweep.answers import Answers, read_answers
from ami.review.sweep.one_pass import in_one_pass

SECONDS = 6.0  # to read and to compare; the page takes 10 s
LIMITS = "SET LOCAL lock_timeout = '1s'"


class SweepError(Exception):
    """The values cannot be compared; the message says why and what to do."""


class Tried(NamedTuple):
    """The names of n identified occurrences now, and with each of m values: ids, 0 for none."""

    answers: Answers
    before: NDArray[np.int64]  # (n)
    after: list[NDArray[np.int64]]  # m arrays of n

    @property
    def is_flat(self) -> bool:
        """Whether all values give the same names."""
        return all(np.array_equal(self.after[0], names) for names in self.after)


def try_values(
    task_cls: type[BasePostProcessingTask],
    configs: Sequence[dict[str, Any]],
    chosen: Chosen,
    *,
    seconds: float = SECONDS,
) -> Tried:
    """The names with each of these options on the identified occurrences; nothing is written.

    If the time does not suffice for all of them, as many as it does are compared, at random.
    Raises JobFailedError as the method does, and SweepError if a row is locked for too long.
    """
    started = time.monotonic()
    answers = read_answers(task_cls, chosen)
    if not len(answers.occurrences):
        return Tried(answers, answers.truth, [answers.truth for _ in configs])
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LIMITS)
            left = seconds - (time.monotonic() - started)
            before, after = in_one_pass(task_cls, configs, chosen, answers, seconds=max(0, left))
            transaction.set_rollback(True)
    except OperationalError as busy:
        raise SweepError(
            "The comparison waited too long for rows that another run or person is changing. Try "
            "it again in a moment."
        ) from busy
    return Tried(answers.first(len(before)), before, after)


def why_nothing(task_cls: type[BasePostProcessingTask], config: dict[str, Any]) -> str | None:
    """Why a run with these options would do nothing; None if it may do something."""
    with transaction.atomic():
        task = task_cls(**config)
        basis.fix(task)
        reason = task.nothing_to_do()
        transaction.set_rollback(True)
    return reason
