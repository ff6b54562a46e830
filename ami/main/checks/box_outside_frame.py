"""Detections whose box extends beyond the capture."""

from collections.abc import Iterable

from django.db.models import F, Q, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.expressions import SoundBox
from ami.main.checks.repair import RepairContext, leave_to_a_person
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection

TOLERANCE = 1  # pixel


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
    rows = Detection.objects.filter(beyond, SoundBox("bbox"))
    rows = rows.filter(source_image__width__gt=0, source_image__height__gt=0)
    return in_scope(rows, project_id, job_id, detection_ids)


def reconcile_boxes_outside_frame(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Report them. Either the box or the frame may be wrong."""
    rows = get_detections_outside_frame(project_id, job_id, detection_ids)
    return leave_to_a_person(rows, dry_run=dry_run)


register(
    Check(
        key="box_outside_frame",
        title="Box outside its frame",
        severity=Severity.WARNING,
        tag=Tag.CAPTURES,
        pairs=(Pair(get_detections_outside_frame, reconcile_boxes_outside_frame),),
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
