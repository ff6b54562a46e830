"""The quantity by which a method decides, as its preview shows it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIDES: Mapping[str, Callable[[Any, Any], Any]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


class Threshold(NamedTuple):
    """A threshold of a run, and the name of its input in the form; empty if it has none."""

    value: float
    field: str = ""


@dataclass(frozen=True)
class Measure:
    """The quantity that decides about a row: its name, and which values have which effect.

    A row whose value stands in the relation `when` to the threshold has the `effect`, such as
    "flagged". `thresholds` returns the thresholds for the parsed options, one per series of values;
    a method with a single series names it "". A quantity that spans several powers of ten is
    `logarithmic`. The method passes the values to :meth:`BasePostProcessingTask.measured`.
    """

    label: str
    when: Literal["<", "<=", ">", ">="]
    effect: str
    thresholds: Callable[[Any], Mapping[str, Threshold]]
    logarithmic: bool = False

    def applies(self, values: Any, threshold: float) -> Any:
        """Whether the values have the effect; elementwise for an array."""
        return SIDES[self.when](values, threshold)


class Points(NamedTuple):
    """The values of one series (n), with their detections (n).

    `others` (n) holds the detection at the other end of a link, 0 for none.
    """

    values: NDArray[np.float64]
    detections: NDArray[np.int64]
    others: NDArray[np.int64]


class Gauge:
    """Collects the values of a measure, by series."""

    def __init__(self) -> None:
        self._read: dict[str, list[Points]] = defaultdict(list)

    def add(
        self, series: str, detections: Sequence[int], values: ArrayLike, others: Sequence[int]
    ) -> None:
        """Add values; NaN and infinity are left out."""
        read = np.asarray(values, dtype=float)
        ids = np.asarray(detections, dtype=np.int64)
        ends = np.asarray(others, dtype=np.int64) if len(others) else np.zeros_like(ids)
        sound = np.isfinite(read)
        self._read[series].append(Points(read[sound], ids[sound], ends[sound]))

    def points(self, series: str) -> Points:
        """The values of a series in ascending order."""
        parts = self._read.get(series) or [Points(np.empty(0), *np.empty((2, 0), dtype=np.int64))]
        joined = Points(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.detections for part in parts]),
            np.concatenate([part.others for part in parts]),
        )
        order = np.lexsort((joined.detections, joined.values))
        return Points(joined.values[order], joined.detections[order], joined.others[order])
