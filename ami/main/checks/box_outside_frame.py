"""Detections whose box extends beyond the capture."""

from collections.abc import Iterable

from django.db.models import Case, F, Q, QuerySet, When

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import SoundBox
from ami.main.checks.on_captures import FAULTS, TOLERANCE
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection


def get_detections_outside_frame(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
) -> QuerySet[Detection]:
    """Valid boxes that extend beyond the frame by more than one pixel."""
    beyond = (
        Q(bbox__0__lt=-TOLERANCE)
        | Q(bbox__1__lt=-TOLERANCE)
        | Q(bbox__2__gt=F("source_image__width") + TOLERANCE)
        | Q(bbox__3__gt=F("source_image__height") + TOLERANCE)
    )
    # Few boxes are beyond, so the more expensive condition is evaluated only for them.
    rows = Detection.objects.filter(
        Case(When(beyond, then=SoundBox("bbox")), default=False),
        source_image__width__gt=0,
        source_image__height__gt=0,
    )
    return in_scope(rows, project_id, job_id, detection_ids)


PAIR = Pair(get_detections_outside_frame, one_pass=OnePass(FAULTS, "outside"))
reconcile_boxes_outside_frame = reconciler("reconcile_boxes_outside_frame", PAIR)

register(
    Check(
        key="box_outside_frame",
        title="Box outside its frame",
        severity=Severity.WARNING,
        tag=Tag.CAPTURES,
        pairs=(PAIR,),
        meaning=(
            "The detection's box extends beyond the capture by more than one pixel. Rounding does "
            "not explain this."
        ),
        cause=(
            "The capture was resized after the detection, its width and height are swapped, or the "
            "boxes are in pixels of an image of another size."
        ),
        repair=None,
        limits=(
            "Methods clip the box to the frame. [Captures without a size](capture_without_size.md) "
            "and [invalid boxes](invalid_box.md) have their own checks."
        ),
    )
)
