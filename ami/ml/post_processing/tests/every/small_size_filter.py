from typing import Any

from ami.base.tests.factories import (
    make_capture,
    make_classification,
    make_detection,
    make_occurrence,
)
from ami.testing import Rows

SMALL, LARGE = [1, 1, 3, 3], [1, 1, 500, 500]
ODD = (None, [1, 2, 3], [5, 5, 1, 1])


def make_rows(nights: int) -> Rows:
    for _ in range(nights):
        capture, blank = make_capture(), make_capture(width=None, height=None)
        boxes: list[Any] = [SMALL, LARGE, *ODD]
        for source_image, bbox in [*((capture, box) for box in boxes), (blank, LARGE)]:
            occurrence = make_occurrence(deployment=capture.deployment)
            for box in (bbox, SMALL):
                detection = make_detection(
                    source_image=source_image if box is bbox else capture,
                    occurrence=occurrence,
                    bbox=box,
                )
                make_classification(detection=detection)
        make_detection(source_image=capture, bbox=SMALL)
    return Rows(
        {
            "no box": nights,
            "box is not four finite numbers": nights,
            "box is empty or inverted": nights,
            "frame without width or height": nights,
        }
    )
