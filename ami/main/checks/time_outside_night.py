"""Captures with an implausible time."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import FarFromNight
from ami.main.checks.scopes import in_scope
from ami.main.models import SourceImage

FIRST_CAMERAS = datetime(1990, 1, 1, tzinfo=UTC)


def get_captures_outside_their_night(
    project_id: int | None = None,
    job_id: int | None = None,
    capture_ids: Iterable[int] | None = None,
) -> QuerySet[SourceImage]:
    """Captures more than a day away from their night, before 1990, or in the future."""
    night = ("event__group_by", "deployment__time_zone", "deployment__night_starts")
    far = Q(FarFromNight("timestamp", *night))
    rows = SourceImage.objects.filter(far | Q(timestamp__lt=FIRST_CAMERAS) | Q(timestamp__gt=Now()))
    return in_scope(rows, project_id, job_id, capture_ids)


PAIR = Pair(get_captures_outside_their_night)
reconcile_captures_outside_their_night = reconciler("reconcile_captures_outside_their_night", PAIR)

register(
    Check(
        key="time_outside_night",
        title="Time outside its night",
        severity=Severity.WARNING,
        tag=Tag.CAPTURES,
        pairs=(PAIR,),
        meaning=(
            "The capture's time is more than one day before the start of its night or more than "
            "one day after its end, before 1990, or in the future. Tracking compares it with "
            "captures that are not next to it."
        ),
        cause=(
            "The camera's clock was not set, or the times and nights of an export do not belong "
            "together."
        ),
        repair=None,
        limits=(
            "Correct the time, then group the captures of the deployment into nights again. For "
            "captures without a night, or in a night whose name is not a date, only the years are "
            "checked."
        ),
    )
)
