"""One half of the rows to fit, the other half to report: never the same row for both."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def in_fitting_half(occurrences: ArrayLike, seed: int = 0) -> NDArray[np.bool_]:
    """Return whether each occurrence serves to fit; the others serve to report.

    The id of the occurrence alone decides, with the seed: the same occurrence is in the same half
    whichever rows it is drawn with, so all its detections are in one half, and a threshold is never
    reported on rows that it was fitted to. Each half has about 50 % of the ids. The hash is
    SplitMix64 (Steele et al. 2014). `occurrences` has integer ids.
    """
    state = np.asarray(occurrences, dtype=np.int64).astype(np.uint64)
    state = state + np.uint64((seed + 1) * GOLDEN & MASK)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state = state ^ (state >> np.uint64(31))
    return np.asarray(state & np.uint64(1) == 0)
