"""The boxes of detections as fractions and pixels, for formats that need a valid one."""

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

from ami.exchange.export.problems import Problems
from ami.exchange.export.rows import Capture, Detection

NO_PATH = "A capture without a path is left out"
NO_SIZE = "The detections of a capture without a size are left out"
NO_BOX = "A detection without a valid box is left out"
OUTSIDE = "A detection whose box is outside its capture is left out"
CUT = "A box that exceeds its capture is cut at the edge"


class Box(NamedTuple):
    """A box within its capture: the left upper corner, width and height, in pixels."""

    x: float
    y: float
    width: float
    height: float

    def fractions(self, capture: Capture) -> tuple[float, float, float, float]:
        """Return the box as shares of the width and height of its capture, which has a size."""
        wide, high = capture.width or 1, capture.height or 1
        return self.x / wide, self.y / high, self.width / wide, self.height / high


def box_of(capture: Capture, detection: Detection, problems: Problems) -> Box | None:
    """Return the box, cut at the edges of a capture with a size; None, and the problem listed."""
    corners = corners_of(detection.box)
    if corners is None:
        problems.add(NO_BOX, "detection", [detection.id])
        return None
    x1, y1, x2, y2 = corners
    x3, y3 = min(x2, capture.width or 0), min(y2, capture.height or 0)
    left, top = max(x1, 0.0), max(y1, 0.0)
    if x3 - left <= 1e-6 or y3 - top <= 1e-6:
        problems.add(OUTSIDE, "detection", [detection.id])
        return None
    if (left, top, x3, y3) != corners:
        problems.add(CUT, "detection", [detection.id])
    return Box(left, top, x3 - left, y3 - top)


def corners_of(box: Sequence[float | None] | None) -> tuple[float, float, float, float] | None:
    """Return x1, y1, x2, y2; None unless they are four finite numbers of an area."""
    if box is None or len(box) != 4 or not all(n is not None and isfinite(n) for n in box):
        return None
    x1, y1, x2, y2 = (float(n or 0) for n in box)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def has_size(capture: Capture, problems: Problems) -> bool:
    """Whether boxes can be placed on the capture; else the problem is listed."""
    if capture.width and capture.height:
        return True
    if capture.detections:
        problems.add(NO_SIZE, "capture", [capture.id])
    return False
