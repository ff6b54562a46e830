"""Detections whose box is no box."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.expressions import SoundBox
from ami.main.checks.repair import RepairContext, leave_to_a_person
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection


def get_detections_with_invalid_box(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
) -> QuerySet[Detection]:
    """Those whose box is not null, yet not four finite numbers in order."""
    rows = Detection.objects.filter(~SoundBox("bbox"), bbox__isnull=False)
    return in_scope(rows, project_id, job_id, detection_ids)


def reconcile_invalid_boxes(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Report them; where the box should be, the rows do not tell."""
    rows = get_detections_with_invalid_box(project_id, job_id, detection_ids)
    return leave_to_a_person(rows, dry_run=dry_run)


register(
    Check(
        key="invalid_box",
        title="Invalid box",
        severity=Severity.ERROR,
        tag=Tag.CAPTURES,
        pairs=(Pair(get_detections_with_invalid_box, reconcile_invalid_boxes),),
        meaning=(
            "The detection's box is not four finite numbers `x1, y1, x2, y2` with x1 < x2 and y1 "
            "< y2. Methods skip such a detection, and its crop cannot be cut."
        ),
        cause=(
            "A detector that gave width and height instead of the second corner, or NaN; a box "
            "that was written by hand."
        ),
        repair=None,
        limits="A detection without any box is no fault: a classifier of whole frames has none.",
    )
)
