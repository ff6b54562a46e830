"""How far two people agree beyond chance."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def kappa(table: ArrayLike) -> float | None:
    """Return Cohen's (1960) κ for a square table of how often each pair of answers was given.

    Rows are the answers of one person, columns those of the other, in the same order: 1 is perfect
    agreement, 0 is what chance gives. None if both gave one and the same answer to everything,
    because chance then explains all. Raise ValueError if the table is not square, has negative
    counts, or has none at all.
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"The table must be square, got the shape {counts.shape}.")
    if (counts < 0).any() or not counts.sum():
        raise ValueError("The table must have counts from 0, and at least one above 0.")
    shares = counts / counts.sum()
    by_chance = float(shares.sum(axis=0) @ shares.sum(axis=1))
    if np.count_nonzero(counts) == 1 and np.trace(counts):
        return None
    return (float(np.trace(shares)) - by_chance) / (1 - by_chance)


def agreement_table(
    first: Sequence[Hashable], second: Sequence[Hashable]
) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the distinct answers and how often the two people gave each pair of them.

    Both sequences have one answer per row that was read twice. Raise ValueError if their lengths
    differ.
    """
    if len(first) != len(second):
        raise ValueError(f"Both people must answer each row, got {len(first)} and {len(second)}.")
    answers = list(dict.fromkeys([*first, *second]))
    place = {answer: number for number, answer in enumerate(answers)}
    table = np.zeros((len(answers), len(answers)), dtype=np.int64)
    for one, other in zip(first, second, strict=True):
        table[place[one], place[other]] += 1
    return answers, table
