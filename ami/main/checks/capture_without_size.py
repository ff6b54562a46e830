"""Captures with detections but without a width or height."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection, SourceImage


def get_captures_without_size(
    project_id: int | None = None,
    job_id: int | None = None,
    capture_ids: Iterable[int] | None = None,
) -> QuerySet[SourceImage]:
    """Captures with detections whose width or height is missing or 0."""
    detections = Detection.objects.filter(source_image=OuterRef("pk"))
    unmeasured = Q(width=None) | Q(height=None) | Q(width=0) | Q(height=0)
    return in_scope(
        SourceImage.objects.filter(unmeasured, Exists(detections)), project_id, job_id, capture_ids
    )


PAIR = Pair(get_captures_without_size)
reconcile_captures_without_size = reconciler("reconcile_captures_without_size", PAIR)

register(
    Check(
        key="capture_without_size",
        title="Capture without a size",
        severity=Severity.WARNING,
        tag=Tag.CAPTURES,
        pairs=(PAIR,),
        meaning=(
            "The capture has detections, but its width or height is unknown. Methods cannot "
            "compare a box with its frame, and the small size filter skips these detections."
        ),
        cause="The capture was added without reading its file.",
        repair=None,
        limits=(
            "Import the file again with `--media`, which reads the sizes from the pictures "
            "([Import data](../../how-to/import.md#where-the-pictures-lie)), or enter the size on "
            "the page of the capture."
        ),
    )
)
