"""The clock of a camera is shifted as a Job, and the shift is reverted exactly."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from ami.base.links import change_url
from ami.base.tests.factories import (
    make_capture,
    make_deployment,
    make_detection,
    make_member,
    make_occurrence,
)
from ami.base.tests.snapshots import values
from ami.exchange.clock import ShiftRefusedError, parse_shift, plan_shift, queue_shift, written
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import run_to_end
from ami.main.access import Role
from ami.main.models import Deployment, Detection, Event, Occurrence, SourceImage
from ami.main.models import group_images_into_events as group
from ami.testing.records import left, stale_counts

pytestmark = pytest.mark.django_db
TABLES = (Deployment, Event, SourceImage, Detection, Occurrence)
TIMES = ("2022-06-20T23:00", "2022-06-21T02:00", "2022-06-21T23:00", "2022-06-22T02:00")


@pytest.fixture
def trap() -> Deployment:
    """Two nights of two captures, each with a detection, and a capture without a time."""
    trap = make_deployment(name="Beaver Brook")
    for time in TIMES:
        at = datetime.fromisoformat(time).replace(tzinfo=UTC)
        capture = make_capture(deployment=trap, timestamp=at)
        make_detection(
            source_image=capture, timestamp=at, occurrence=make_occurrence(deployment=trap)
        )
    make_capture(deployment=trap, timestamp=None)
    other = make_capture(deployment=make_deployment(), timestamp=datetime(2022, 6, 20, tzinfo=UTC))
    group(trap)
    assert other.deployment
    group(other.deployment)
    return trap


def shift(trap: Deployment, by: str) -> Job:
    return run_to_end(queue_shift(plan_shift(trap, parse_shift(by))))


def nights(trap: Deployment) -> dict[str, tuple[int, int, int]]:
    return {
        night.group_by: (night.captures_count, night.detections_count, night.occurrences_count)
        for night in trap.events.order_by("group_by")
    }


def test_times_and_nights_are_shifted(trap: Deployment) -> None:
    before = list(trap.captures.order_by("pk").values_list("timestamp", flat=True))
    foreign = SourceImage.objects.exclude(deployment=trap).get().timestamp
    job = shift(trap, "+13:30")
    assert job.status == JobState.SUCCESS
    by = timedelta(hours=13, minutes=30)
    times = trap.captures.order_by("pk").values_list("timestamp", flat=True)
    assert list(times) == [at and at + by for at in before]
    for detection in Detection.objects.select_related("source_image"):
        assert detection.timestamp == detection.source_image.timestamp
    assert nights(trap) == {"2022-06-21": (2, 2, 2), "2022-06-22": (2, 2, 2)}
    assert SourceImage.objects.exclude(deployment=trap).get().timestamp == foreign
    assert stale_counts() == []
    assert job.progress.figures["Captures shifted"] == 4


@pytest.mark.parametrize("by", ["+0:20", "+13:30", "-48:00", "+24:00"])
def test_a_revert_restores_every_row(trap: Deployment, by: str) -> None:
    before = values(*TABLES)
    job = shift(trap, by)
    assert values(*TABLES) != before
    run_to_end(request_revert(job))
    assert values(*TABLES) == before
    assert stale_counts() == []


def test_a_revert_leaves_alone_what_a_person_has_changed(trap: Deployment) -> None:
    job = shift(trap, "+1:00")
    first = trap.captures.order_by("pk").first()
    assert first
    first.timestamp = datetime(2022, 6, 20, 20, tzinfo=UTC)
    first.save()
    revert = run_to_end(request_revert(job))
    assert ("main.sourceimage", first.pk, "changed since") in left(revert)
    first.refresh_from_db()
    assert first.timestamp == datetime(2022, 6, 20, 20, tzinfo=UTC)
    assert trap.captures.filter(timestamp__in=[f"{time}Z" for time in TIMES]).count() == 3


def test_a_dry_run_writes_nothing(trap: Deployment) -> None:
    before = values(*TABLES)
    job = queue_shift(plan_shift(trap, timedelta(hours=1)))
    Job.objects.filter(pk=job.pk).update(dry_run=True)
    job = run_to_end(Job.objects.get(pk=job.pk))
    assert values(*TABLES) == before
    assert job.progress.figures["Captures shifted"] == 4


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (SourceImage, "Beaver Brook has no capture with a time."),
        (Deployment, "Deployment {} no longer exists."),
    ],
)
def test_what_is_gone_since_fails_with_a_sentence(
    trap: Deployment, gone: type[SourceImage | Deployment], told: str
) -> None:
    job = queue_shift(plan_shift(trap, timedelta(hours=1)))
    gone.objects.all().delete()
    job = run_to_end(job)
    assert (job.outcome, job.error) == (Outcome.FAILED, told.format(trap.pk))


def test_the_page_of_the_job_names_deployment_and_shift(
    trap: Deployment, admin_client: Client
) -> None:
    job = shift(trap, "+1:00")
    page = admin_client.get(reverse("admin:jobs_job_change", args=[job.pk])).text
    assert change_url(Deployment, trap.pk) in page
    assert "+1:00" in page
    assert "Captures shifted" in page
    changes = admin_client.get(reverse("admin:jobs_jobchange_changelist", query={"job": job.pk}))
    assert changes.status_code == 200
    assert "Capture" in changes.text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("+1:30", 5400), ("-0:15", -900), ("2:00:30", 7230), ("+8760:00", 31_536_000)],
)
def test_shifts_are_read_and_written(text: str, seconds: int) -> None:
    by = parse_shift(text)
    assert by.total_seconds() == seconds
    assert parse_shift(written(by)) == by


@pytest.mark.parametrize("text", ["", "1", "1:60", "+-1:00", "0:00", "1.5", "x", "9" * 9 + ":00"])
def test_what_is_no_shift_is_refused(text: str) -> None:
    with pytest.raises(ShiftRefusedError):
        parse_shift(text)


def run(*args: str, **options: Any) -> str:
    out = StringIO()
    call_command("shift_clock", *args, stdout=out, **options)
    return out.getvalue()


class TestCommand:
    def test_the_plan_is_told_and_nothing_is_written(self, trap: Deployment) -> None:
        before = values(*TABLES)
        text = run("--by=-1:00", deployment=trap.pk, dry_run=True)
        assert text.startswith("4 captures and 4 detections of Beaver Brook are shifted by -1:00.")
        assert "from 2022-06-20 23:00 to 2022-06-20 22:00" in text
        assert "1 capture without a time: not shifted." in text
        assert text.endswith("Nothing was written.\n")
        assert (values(*TABLES), Job.objects.count()) == (before, 0)

    def test_a_job_is_queued(self, trap: Deployment) -> None:
        found = json.loads(run("--by=+1:00", deployment=trap.pk, format="json"))
        job = Job.objects.get(pk=found["job"])
        assert job.name == "Shift the clock of Beaver Brook by +1:00"
        assert job.project == trap.project

    @pytest.mark.parametrize(
        ("by", "told"),
        [
            ("+900000:00", "would be in the future"),
            ("-900000:00", "would be before 1990"),
            ("nonsense", "'nonsense' is not a shift of a clock."),
        ],
    )
    def test_bad_shifts_are_refused_in_a_sentence(
        self, trap: Deployment, by: str, told: str
    ) -> None:
        with pytest.raises(CommandError, match=told):
            run(f"--by={by}", deployment=trap.pk)

    def test_rights_are_those_of_the_person(self, trap: Deployment) -> None:
        assert trap.project
        operator = make_member(trap.project, Role.OPERATOR)
        with pytest.raises(CommandError, match=r"lacks main\.change_deployment"):
            run("--by=+1:00", deployment=trap.pk, person=operator.email)
        manager = make_member(trap.project, Role.MANAGER)
        run("--by=+1:00", deployment=trap.pk, person=manager.email)
        assert Job.objects.get().user == manager
        with pytest.raises(CommandError, match="There is no deployment 999999"):
            run("--by=+1:00", deployment=999_999)
