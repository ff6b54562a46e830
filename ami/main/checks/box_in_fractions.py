"""Detections with a box in fractions of the frame."""

from collections.abc import Iterable

from django.db.models import F, Q, QuerySet

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import SoundBox
from ami.main.checks.on_captures import FAULTS
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection


def get_detections_with_box_in_fractions(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
) -> QuerySet[Detection]:
    """Valid boxes with sides shorter than a pixel, or with all coordinates between 0 and 1."""
    small = Q(bbox__2__lt=F("bbox__0") + 1, bbox__3__lt=F("bbox__1") + 1)
    unit = Q(bbox__0__gte=0, bbox__1__gte=0, bbox__2__lte=1, bbox__3__lte=1)
    rows = Detection.objects.filter(small | unit, SoundBox("bbox"))
    return in_scope(rows, project_id, job_id, detection_ids)


PAIR = Pair(get_detections_with_box_in_fractions, one_pass=OnePass(FAULTS, "fractions"))
reconcile_boxes_in_fractions = reconciler("reconcile_boxes_in_fractions", PAIR)

register(
    Check(
        key="box_in_fractions",
        title="Box in fractions",
        severity=Severity.ERROR,
        tag=Tag.CAPTURES,
        pairs=(PAIR,),
        meaning=(
            "Both sides of the detection's box are shorter than one pixel, or all coordinates are "
            "between 0 and 1. The numbers are fractions of the frame and not pixels. The size "
            "filter flags such a detection as too small, tracking finds it far from all others, "
            "and its crop is empty."
        ),
        cause="A detector or an export wrote boxes as fractions of width and height.",
        repair=None,
        limits=(
            "If an import wrote the boxes, revert it, and import the file again with `--boxes "
            "fractions`. Otherwise, multiply them by the width and height of the image that the "
            "detector used. [Invalid boxes](invalid_box.md) have their own check."
        ),
    )
)
