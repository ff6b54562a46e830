"""Detections with an invalid box."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import SoundBox
from ami.main.checks.on_captures import FAULTS
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection


def get_detections_with_invalid_box(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
) -> QuerySet[Detection]:
    """Boxes that are not null, and not four finite numbers in order."""
    rows = Detection.objects.filter(~SoundBox("bbox"), bbox__isnull=False)
    return in_scope(rows, project_id, job_id, detection_ids)


PAIR = Pair(get_detections_with_invalid_box, one_pass=OnePass(FAULTS, "invalid"))
reconcile_invalid_boxes = reconciler("reconcile_invalid_boxes", PAIR)

register(
    Check(
        key="invalid_box",
        title="Invalid box",
        severity=Severity.ERROR,
        tag=Tag.CAPTURES,
        pairs=(PAIR,),
        meaning=(
            "The detection's box is not four finite numbers `x1, y1, x2, y2` with x1 < x2 and y1 "
            "< y2. Methods skip such a detection, and it has no crop."
        ),
        cause=(
            "A detector wrote NaN, or width and height instead of the second corner, or the box "
            "was entered by hand."
        ),
        repair=None,
        limits="A detection without a box is not a fault: classifiers of whole frames have none.",
    )
)
