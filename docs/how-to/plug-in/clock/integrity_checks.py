"""Detections without a time, on captures that have one."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection


def get_detections_without_time(
    project_id: int | None = None,
    job_id: int | None = None,
    detection_ids: Iterable[int] | None = None,
) -> QuerySet[Detection]:
    """Those that have no time although their capture has one."""
    rows = Detection.objects.filter(timestamp=None, source_image__timestamp__isnull=False)
    return in_scope(rows, project_id, job_id, detection_ids)


register(
    Check(
        key="detection_without_time",
        title="Detection without a time",
        severity=Severity.WARNING,
        tag=Tag.CAPTURES,
        pairs=(Pair(get_detections_without_time),),
        meaning="The detection has no time although its capture has one.",
        cause="An import that left the time out.",
        repair=None,
        limits="Run the method Capture time on the capture set.",
    )
)
