from typing import Any

from ami.base.tests.factories import (
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
)
from ami.ml.post_processing.tests.nights import make_event
from ami.testing import Rows

DIRT, MOTH = [300, 300, 360, 340], [305, 300, 380, 340]
ODD = (None, [1, 2, 3], [5, 5, 1, 1])


def make_rows(nights: int) -> Rows:
    trap, other = make_deployment(), make_deployment()
    for _ in range(nights):
        event = make_event(deployment=trap)
        captures = [make_capture(deployment=trap, event=event) for _ in range(2)]
        blank = make_capture(deployment=trap, event=event, width=None, height=None)
        elsewhere = make_capture(deployment=other)
        boxes: list[Any] = [(captures[0], box) for box in (DIRT, MOTH, *ODD)]
        for capture, box in [*boxes, (captures[1], DIRT), (blank, DIRT), (elsewhere, DIRT)]:
            occurrence = make_occurrence(deployment=capture.deployment, event=capture.event)
            detection = make_detection(source_image=capture, occurrence=occurrence, bbox=box)
            make_classification(detection=detection)
        make_detection(source_image=captures[1], bbox=DIRT)
    return Rows(
        {
            "no box": nights,
            "box is not four finite numbers": nights,
            "box is empty or inverted": nights,
            "frame without width or height": nights,
        },
        {"places": [f"{trap.pk}:{','.join(map(str, DIRT))}"]},
    )
