"""Shift the clock of a camera: the times of its captures, and the nights to which they belong."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Max, Min, QuerySet
from django.utils import timezone

from ami.base.words import counted
from ami.jobs.engine.registry import JOB_TYPES, RUNS_AGAIN
from ami.jobs.engine.work import Planned, PlannedWork, reading
from ami.jobs.models import Job
from ami.jobs.service import create_jobs
from ami.jobs.states import JobFailedError
from ami.main.checks.time_outside_night import FIRST_CAMERAS
from ami.main.events import group_captures
from ami.main.models import Deployment, Detection, Event, SourceImage
from ami.users.models import User

JOB_TYPE = "shift_clock"
CHANGE = "main.change_deployment"
FORM = re.compile(r"([+-]?)(\d{1,6}):([0-5]\d)(?::([0-5]\d))?")

CAPTURES = """
UPDATE main_sourceimage SET timestamp = timestamp + %(by)s, updated_at = now()
WHERE deployment_id = %(deployment)s AND timestamp IS NOT NULL
"""
# A detection has the time of its capture. The time of a classification is when it was made.
DETECTIONS = """
UPDATE main_detection d SET timestamp = d.timestamp + %(by)s, updated_at = now()
FROM main_sourceimage s
WHERE s.id = d.source_image_id AND s.deployment_id = %(deployment)s AND d.timestamp IS NOT NULL
"""
# Nights that the shift has emptied, unless something refers to them.
EMPTIED = """
DELETE FROM main_event e
WHERE e.id = ANY(%(nights)s)
  AND NOT EXISTS (SELECT FROM main_sourceimage WHERE event_id = e.id)
  AND NOT EXISTS (SELECT FROM main_occurrence WHERE event_id = e.id)
"""


class ShiftRefusedError(Exception):
    """The clock cannot be shifted; the message says why."""


class Shift(NamedTuple):
    """What a shift does to the times of a deployment; `first` and `last` are the present ones."""

    deployment: Deployment
    by: timedelta
    captures: int
    without_time: int
    detections: int
    first: datetime
    last: datetime

    def sentences(self) -> list[str]:
        """The plan, one sentence per fact, in the time zone of the deployment."""
        zone = self.deployment.time_zone
        told = [
            f"{counted(self.captures, 'capture')} and {counted(self.detections, 'detection')} of "
            f"{self.deployment} are shifted by {written(self.by)}.",
            f"The first capture moves from {_local(self.first, zone)} to "
            f"{_local(self.first + self.by, zone)}, and the last one from "
            f"{_local(self.last, zone)} to {_local(self.last + self.by, zone)} ({zone}).",
            "The captures are grouped into nights again.",
        ]
        if self.without_time:
            told.append(f"{counted(self.without_time, 'capture')} without a time: not shifted.")
        return told


def parse_shift(text: str) -> timedelta:
    """Read "+1:30", "-0:15" or "2:00:30". Raises ShiftRefusedError."""
    found = FORM.fullmatch(text.strip())
    if found is None:
        raise ShiftRefusedError(
            f"{text!r} is not a shift of a clock. Write hours and minutes, such as +1:30 or -0:15."
        )
    sign, hours, minutes, seconds = found.groups()
    by = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0))
    if not by:
        raise ShiftRefusedError("A shift by 0:00 changes nothing.")
    return -by if sign == "-" else by


def written(by: timedelta) -> str:
    """A shift as :func:`parse_shift` reads it."""
    minutes, seconds = divmod(int(abs(by).total_seconds()), 60)
    text = f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    return f"{'-' if by < timedelta(0) else '+'}{text}"


def plan_shift(deployment: Deployment, by: timedelta) -> Shift:
    """What the shift would do. Raises ShiftRefusedError if its times would be implausible."""
    rows = SourceImage.objects.filter(deployment=deployment)
    seen = rows.aggregate(
        all=Count("pk"), timed=Count("timestamp"), first=Min("timestamp"), last=Max("timestamp")
    )
    if seen["first"] is None:
        raise ShiftRefusedError(f"{deployment} has no capture with a time.")
    try:
        first, last = seen["first"] + by, seen["last"] + by
    except OverflowError:
        first = last = datetime.max.replace(tzinfo=UTC)
    if last > timezone.now():
        raise ShiftRefusedError(
            f"The last capture of {deployment} would be in the future. Check the sign and the "
            "size of the shift."
        )
    if first < FIRST_CAMERAS:
        raise ShiftRefusedError(
            f"The first capture of {deployment} would be before {FIRST_CAMERAS:%Y}. Check the sign "
            "and the size of the shift."
        )
    detections = Detection.objects.filter(
        source_image__deployment=deployment, timestamp__isnull=False
    )
    return Shift(
        deployment,
        by,
        seen["timed"],
        seen["all"] - seen["timed"],
        detections.count(),
        seen["first"],
        seen["last"],
    )


def queue_shift(
    shift: Shift,
    *,
    user: User | None = None,
    dry_run: bool = False,
    reason: str = "",
    launch_key: str | None = None,
) -> Job:
    """Queue the Job that shifts the clock.

    Raises AlreadyLaunchedError if `launch_key` has been used.
    """
    name = f"Shift the clock of {shift.deployment} by {written(shift.by)}"
    job = Job(
        name=name[: Job._meta.get_field("name").max_length],
        project=shift.deployment.project,
        user=user,
        job_type_key=JOB_TYPE,
        params={"deployment": shift.deployment.pk, "by": written(shift.by)},
        dry_run=dry_run,
        launch_key=launch_key,
    )
    return create_jobs([job], reason=reason)[0]


class ShiftWork(PlannedWork):
    """Shifts all times of a deployment in one transaction, so that no night is divided."""

    key = JOB_TYPE
    name = "Shift of a clock"
    counters = ("captures_shifted", "detections_shifted", "nights_removed")
    skips_faults = False

    def __init__(self, job: Job) -> None:
        super().__init__()
        with reading(job.params, ShiftRefusedError, of="shift"):
            self.deployment_id = int(job.params["deployment"])
            self.by = parse_shift(str(job.params["by"]))

    def decisions(self) -> list[str]:
        return self.shift().sentences()

    def plan(self) -> list[Planned]:
        return [Planned(self.shift().captures, self.deployment_id)]

    def touched(self) -> QuerySet[Detection]:
        return Detection.objects.filter(source_image__deployment=self.deployment_id)

    def work_on(self, batch: Planned) -> None:
        named: Any = {"deployment": self.deployment_id, "by": self.by}
        before = list(
            Event.objects.filter(deployment=self.deployment_id).values_list("pk", flat=True)
        )
        with connection.cursor() as cursor:
            cursor.execute(CAPTURES, named)
            self.count(captures_shifted=cursor.rowcount)
            cursor.execute(DETECTIONS, named)
            self.count(detections_shifted=cursor.rowcount)
            group_captures(self.deployment_id)
            cursor.execute(EMPTIED, {"nights": before})
            self.count(nights_removed=cursor.rowcount)

    def deployment(self) -> Deployment:
        """The deployment. Raises JobFailedError if it no longer exists."""
        deployment = Deployment.objects.filter(pk=self.deployment_id).first()
        if deployment is None:
            raise JobFailedError(f"Deployment {self.deployment_id} no longer exists.")
        return deployment

    def shift(self) -> Shift:
        """The shift of the present rows. Raises JobFailedError if it is no longer possible."""
        try:
            return plan_shift(self.deployment(), self.by)
        except ShiftRefusedError as refused:
            raise JobFailedError(str(refused)) from None


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def _run_again(former: Job, user: User | None) -> Job:
    shift = ShiftWork(former).shift()
    if user and not user.has_perm(CHANGE, shift.deployment):
        raise JobFailedError(f"{user} may not change the deployment {shift.deployment}.")
    return queue_shift(shift, user=user, dry_run=former.dry_run)


JOB_TYPES.register(JOB_TYPE, ShiftWork)
RUNS_AGAIN.register(JOB_TYPE, _run_again)
