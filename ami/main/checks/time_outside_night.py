"""Captures with an implausible time."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import FarFromNight, far_from_night
from ami.main.checks.scopes import in_scope
from ami.main.models import SourceImage

FIRST_CAMERAS = datetime(1990, 1, 1, tzinfo=UTC)

# Of each night, the first and the last capture are examined, with a margin for the change to
# daylight saving time. The others lie between, and are examined only if one of the two is at fault.
FAULTS = f"""
WITH night AS MATERIALIZED (
    SELECT event_id, deployment_id, min(timestamp) AS first, max(timestamp) AS last
    FROM main_sourceimage GROUP BY event_id, deployment_id
), doubtful AS MATERIALIZED (
    SELECT COALESCE(event_id, 0) AS event, COALESCE(n.deployment_id, 0) AS deployment,
           group_by, time_zone, night_starts
    FROM night n
    LEFT JOIN main_event e ON e.id = n.event_id
    LEFT JOIN main_deployment d ON d.id = n.deployment_id
    WHERE first < '{FIRST_CAMERAS.isoformat()}' OR last > statement_timestamp()
       OR {far_from_night("first - interval '3 hours'")}
       OR {far_from_night("last + interval '3 hours'")}
)
SELECT '', s.id
FROM doubtful JOIN main_sourceimage s
     ON COALESCE(s.event_id, 0) = event AND COALESCE(s.deployment_id, 0) = deployment
WHERE timestamp < '{FIRST_CAMERAS.isoformat()}' OR timestamp > statement_timestamp()
   OR {far_from_night("timestamp")}
"""  # noqa: S608 -- constants


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


PAIR = Pair(get_captures_outside_their_night, one_pass=OnePass(FAULTS, ""))
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
            "If the clock of the camera was wrong, [shift it](../../how-to/shift-a-clock.md). "
            "Otherwise, correct the time, then group the captures of the deployment into nights "
            "again, with `group_images_into_events(deployment)` of `ami.main.models` in a shell. "
            "For captures without a night, or in a night whose name is not a date, only the years "
            "are checked."
        ),
    )
)
