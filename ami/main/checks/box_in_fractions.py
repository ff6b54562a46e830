"""Detections whose box is written in fractions of the frame."""

from collections.abc import Iterable

from django.db.models import F, Q, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.expressions import SoundBox
from ami.main.checks.repair import RepairContext, leave_to_a_person
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection


def get_detections_with_box_in_fractions(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
) -> QuerySet[Detection]:
    """Those whose box is sound, with sides below a pixel, or with all corners within 0 and 1."""
    small = Q(bbox__2__lt=F("bbox__0") + 1, bbox__3__lt=F("bbox__1") + 1)
    unit = Q(bbox__0__gte=0, bbox__1__gte=0, bbox__2__lte=1, bbox__3__lte=1)
    rows = Detection.objects.filter(small | unit, SoundBox("bbox"))
    return in_scope(rows, project_id, job_id, detection_ids)


def reconcile_boxes_in_fractions(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Report them; of which picture they are fractions, a person knows."""
    return leave_to_a_person(
        get_detections_with_box_in_fractions(project_id, job_id, detection_ids), dry_run=dry_run
    )


register(
    Check(
        key="box_in_fractions",
        title="Box in fractions",
        severity=Severity.ERROR,
        tag=Tag.CAPTURES,
        pairs=(Pair(get_detections_with_box_in_fractions, reconcile_boxes_in_fractions),),
        meaning=(
            "Both sides of the detection's box are shorter than a pixel, or all of it lies within "
            "0 and 1: the numbers are not pixels, but fractions of the frame. The size filter "
            "takes such a detection for too small, tracking finds it far from all others, and its "
            "crop is empty."
        ),
        cause="A detector, or an export, that gives boxes as fractions of width and height.",
        repair=None,
        limits=(
            "Import the boxes again, multiplied by the width and height of the picture that the "
            "detector saw. [Invalid boxes](invalid_box.md) are a fault of their own."
        ),
    )
)
