from ami.base.tests.factories import (
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_taxon,
    make_user,
)
from ami.main.models import Deployment, Event, Identification
from ami.ml.post_processing.tests.nights import A, B, C, detections, make_event, make_night, moved
from ami.testing import Rows

ODD = (None, [1, 2, 3], [5, 5, 1, 1])


def make_rows(nights: int) -> Rows:
    trap = make_deployment()
    for _ in range(nights):
        event = make_event(deployment=trap)
        make_night(*[[moved(box, by) for box in (A, B, C)] for by in (0, 5, 10)], event=event)
        _identify(event)
        _add_faults(trap, event)
    return Rows(
        {
            "no box": nights,
            "box is not four finite numbers": nights,
            "box is empty or inverted": nights,
            "frame without width or height": nights,
            "capture without a time": nights,
            "capture without a night": nights,
            "night without a project": nights,
        }
    )


def _identify(event: Event) -> None:
    """One individual's first detection is locked; the lock on another's last one was withdrawn."""
    rows = detections(event)
    for detection, withdrawn in ((rows[0], False), (rows[-1], True)):
        assert detection.occurrence
        Identification.objects.create(
            occurrence=detection.occurrence,
            taxon=make_taxon(),
            user=make_user(),
            withdrawn=withdrawn,
        )
    for detection in rows:
        make_classification(detection=detection)


def _add_faults(trap: Deployment, event: Event) -> None:
    blank = make_capture(deployment=trap, event=event, width=None, height=None)
    timeless = make_capture(deployment=trap, event=event, timestamp=None)
    alone = make_capture(deployment=trap)
    abroad = make_capture(deployment=trap, event=make_event(deployment=trap, project=None))
    for capture in (blank, timeless, alone, abroad):
        occurrence = make_occurrence(deployment=trap, event=event)
        make_detection(source_image=capture, occurrence=occurrence)
    for bbox in ODD:
        make_detection(source_image=detections(event)[0].source_image, bbox=bbox)
