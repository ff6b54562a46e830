"""What all kinds of calibration share: halves, refusals, and what the reporting half shows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ami.review.statistics.halves import in_fitting_half
from ami.review.statistics.shares import estimate
from ami.review.statistics.temperature import calibration_error, reliability

FEWEST = 30  # independent answers, of which about half serve to fit
DECIMALS = 4  # of a threshold
BLOCK = 1_000_000  # probabilities in memory at once


class CannotCalibrateError(ValueError):
    """The answers do not suffice for this kind of calibration; the message says why."""


def require(number: int, what: str) -> None:
    if number < FEWEST:
        raise CannotCalibrateError(
            f"There are {number} {what}; a calibration needs {FEWEST}. Judge a random sample."
        )


def halves(occurrences: NDArray[np.int64], seed: int) -> tuple[Any, Any]:
    fitting = in_fitting_half(occurrences, seed)
    if fitting.all() or not fitting.any():
        raise CannotCalibrateError("One half of the occurrences is empty. Use another seed.")
    return fitting, ~fitting


def blocks(places: NDArray[np.intp], width: int) -> Iterator[NDArray[np.intp]]:
    """Divide the places of vectors of a width, so that one block at a time fits into memory.

    Without any place, there is one empty block.
    """
    size = max(1, BLOCK // width)
    for start in range(0, max(1, len(places)), size):
        yield places[start : start + size]


def figure(what: str, right: NDArray[np.bool_]) -> dict[str, Any]:
    if not len(right):
        return {"sentence": f"{what}: no answer of the other half.", "n": 0}
    share = estimate(int(right.sum()), len(right))
    return {
        "sentence": f"{what}: {100 * share.share:.1f} % of {share.n:,} names of the other half "
        f"are right [{100 * share.low:.1f} %, {100 * share.high:.1f} %].",
        "n": share.n,
        "accuracy": share.share,
        "low": share.low,
        "high": share.high,
    }


def diagrams(before: Any, after: Any, right: Any, words: str) -> dict[str, Any]:
    errors = [calibration_error(confidences, right) for confidences in (before, after)]
    told = [f"{error:.3f}" if error is not None else "unknown" for error in errors]
    sentence = f"{words}. Calibration error {told[0]} before, {told[1]} after."
    return {
        "bins": {
            "before": [one._asdict() for one in reliability(before, right)],
            "after": [one._asdict() for one in reliability(after, right)],
        },
        "results": {"figures": [{"sentence": sentence, "before": errors[0], "after": errors[1]}]},
    }
