"""Captures with detections, without a width or a height."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, leave_to_a_person
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection, SourceImage


def get_captures_without_size(
    project_id: int | None = None,
    job_id: int | None = None,
    capture_ids: Iterable[int] | None = None,
) -> QuerySet[SourceImage]:
    """Those with detections whose width or height is missing or 0."""
    detections = Detection.objects.filter(source_image=OuterRef("pk"))
    unmeasured = Q(width=None) | Q(height=None) | Q(width=0) | Q(height=0)
    return in_scope(
        SourceImage.objects.filter(unmeasured, Exists(detections)), project_id, job_id, capture_ids
    )


def reconcile_captures_without_size(
    project_id: int | None = None,
    job_id: int | None = None,
    capture_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Report them; the size stands in the file alone."""
    rows = get_captures_without_size(project_id, job_id, capture_ids)
    return leave_to_a_person(rows, dry_run=dry_run)


register(
    Check(
        key="capture_without_size",
        title="Capture without a size",
        severity=Severity.WARNING,
        tag=Tag.CAPTURES,
        pairs=(Pair(get_captures_without_size, reconcile_captures_without_size),),
        meaning=(
            "The capture has detections, but its width or height is not known, so that no method "
            "can set a box in relation to its frame. The small size filter skips its detections."
        ),
        cause="Captures that were registered without their files being read.",
        repair=None,
        limits="Read the size from the file and set it on the capture's page.",
    )
)
