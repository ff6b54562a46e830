"""Captures whose time cannot be right."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ami.main.checks.declarations import Check, Pair, Severity, Tag, register
from ami.main.checks.expressions import FarFromNight
from ami.main.checks.repair import RepairContext, leave_to_a_person
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.scopes import in_scope
from ami.main.models import SourceImage

FIRST_CAMERAS = datetime(1990, 1, 1, tzinfo=UTC)


def get_captures_outside_their_night(
    project_id: int | None = None,
    job_id: int | None = None,
    capture_ids: Iterable[int] | None = None,
) -> QuerySet[SourceImage]:
    """Those more than a day off their night, those before 1990, and those in the future."""
    far = Q(FarFromNight("timestamp", "event__group_by", "deployment__time_zone"))
    rows = SourceImage.objects.filter(far | Q(timestamp__lt=FIRST_CAMERAS) | Q(timestamp__gt=Now()))
    return in_scope(rows, project_id, job_id, capture_ids)


def reconcile_captures_outside_their_night(
    project_id: int | None = None,
    job_id: int | None = None,
    capture_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Report them; when the picture was taken, a person knows."""
    return leave_to_a_person(
        get_captures_outside_their_night(project_id, job_id, capture_ids), dry_run=dry_run
    )


register(
    Check(
        key="time_outside_night",
        title="Time outside its night",
        severity=Severity.WARNING,
        tag=Tag.CAPTURES,
        pairs=(Pair(get_captures_outside_their_night, reconcile_captures_outside_their_night),),
        meaning=(
            "The capture was taken more than a day before the noon at which its night begins, or "
            "after the noon at which it ends; or before 1990, or in the future. Tracking takes it "
            "for a neighbour of captures that it is not next to."
        ),
        cause=(
            "A camera whose clock was not set; an export whose times and nights do not belong "
            "together."
        ),
        repair=None,
        limits=(
            "Correct the time, then group the captures of the deployment into nights anew. Nights "
            "whose name is not a date, and captures in no night, are judged by the years alone."
        ),
    )
)
