"""What each value of an option would correct and regress, and which value is best."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ami.review.effect.outcomes import NONE, Judge, Outcome, Pairs
from ami.review.effect.report import Moved, moved_in, share, table_of
from ami.review.statistics.halves import in_fitting_half
from ami.review.statistics.paired import mcnemar
from ami.review.statistics.shares import Estimate
from ami.review.sweep.run import Tried

# Right names count for a value and wrong ones against it; an abstention counts nothing.
GAIN = np.array([1, 1, -1, 0])
FEWEST = 20  # occurrences in each half, from which on a best value is told


class Against(NamedTuple):
    """The outcome of one value against some answers."""

    identified: int
    moved: Moved
    p: float
    corrected: Estimate | None
    regressed: Estimate | None
    coverage: Estimate | None
    accuracy: Estimate | None


class Point(NamedTuple):
    """One value, with its outcome against all answers and against the independent ones."""

    value: Any
    label: str
    all_answers: Against
    independent: Against


class Best(NamedTuple):
    """The value with the most right minus wrong names on one half of the occurrences, of equals
    that with the most exact ones, and its outcome on the other half, which had no part in the
    choice."""

    value: Any
    label: str
    chosen_on: int
    reported: Against


class Sweep(NamedTuple):
    """The points in the order of the values.

    `best` is None with too few answers, or if all values are equally good (`is_even`). If
    `is_flat`, they even give the same names.
    `occurrences` of the `total` identified ones were processed, at random.
    """

    points: list[Point]
    best: Best | None
    is_even: bool
    is_flat: bool
    is_independent: bool
    occurrences: int
    total: int

    @property
    def is_whole(self) -> bool:
        return self.occurrences == self.total


def sweep(tried: Tried, values: Sequence[tuple[Any, str]], *, present: Any = None) -> Sweep:
    """Compare the names with each value with what people say; `values` have labels.

    The best value is chosen on independent answers only, unless there are none. It is the present
    one if no other has more right minus wrong names, or as many with more exact ones.
    """
    answers = tried.answers
    ids = np.unique(
        np.concatenate([answers.truth, answers.independent, tried.before, *tried.after])
    )
    judge = Judge(ids.tolist())
    every = np.ones(len(answers.truth), dtype=bool)
    own = answers.independent != NONE
    by_all = _judged(judge, tried, answers.truth)
    by_own = _judged(judge, tried, answers.independent)
    points = [
        Point(value, label, _against(by_all, place, every), _against(by_own, place, own))
        for place, (value, label) in enumerate(values)
    ]
    is_independent = bool(own.any())
    judged, known = (by_own, own) if is_independent else (by_all, every)
    fits = in_fitting_half(answers.occurrences)
    chooses, reports = known & fits, known & ~fits
    best, is_even = None, False
    if min(chooses.sum(), reports.sum()) >= FEWEST:
        gains = [int(GAIN[after[chooses]].sum()) for after in judged.after]
        is_even = min(gains) == max(gains)
        if not is_even:
            exact = [int((after[chooses] == Outcome.EXACT).sum()) for after in judged.after]
            is_present = [value == present for value, _ in values]
            place = _place_of_best(gains, exact, is_present)
            reported = _against(judged, place, reports)
            best = Best(*values[place], int(chooses.sum()), reported)
    compared = len(answers.truth)
    return Sweep(points, best, is_even, tried.is_flat, is_independent, compared, answers.total)


class _Judged(NamedTuple):
    """The outcomes of the names of n occurrences now, and with each value."""

    before: NDArray[np.int8]
    after: list[NDArray[np.int8]]


def _judged(judge: Judge, tried: Tried, truth: NDArray[np.int64]) -> _Judged:
    before, *after = (
        judge.outcomes(Pairs.of(names, truth)) for names in (tried.before, *tried.after)
    )
    return _Judged(before, after)


def _place_of_best(gains: Sequence[int], exact: Sequence[int], is_present: Sequence[bool]) -> int:
    """The highest gain; of equals, that with the most exact names, the present one, the first."""
    return max(
        range(len(gains)),
        key=lambda place: (gains[place], exact[place], is_present[place], -place),
    )


def _against(judged: _Judged, place: int, known: NDArray[np.bool_]) -> Against:
    """The outcome of the value at that place, on the known occurrences."""
    former, later = judged.before[known], judged.after[place][known]
    moved = moved_in(table_of(former, later))
    counts = np.bincount(later, minlength=len(Outcome))
    whole, named = int(counts.sum()), int(counts[:3].sum())
    return Against(
        identified=whole,
        moved=moved,
        p=mcnemar(moved.regressed, moved.corrected),
        corrected=share(moved.corrected, whole),
        regressed=share(moved.regressed, whole),
        coverage=share(named, whole),
        accuracy=share(int(counts[:2].sum()), named),
    )
