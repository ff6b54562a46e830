"""Tracking as a Job: launched in the admin, and reverted to an earlier run."""

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from ami.base.tests.factories import make_classification, make_deployment, make_taxon, make_user
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.admin import told
from ami.jobs.tests.job_types import run_to_end
from ami.jobs.tests.reverting import revert
from ami.jobs.tests.workers import race
from ami.main.models import Detection, Event, Identification, Occurrence
from ami.ml.post_processing.again import apply
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.tests.clicks import KEY, post
from ami.ml.post_processing.tests.nights import (
    A,
    B,
    C,
    detections,
    links,
    make_event,
    make_night,
    occurrences,
    tracks,
)
from ami.ml.post_processing.tracking import TrackingTask, task
from ami.ml.post_processing.tracking.rows import read_directions
from ami.testing.records import left, rows

pytestmark = pytest.mark.django_db
EVENTS = "/admin/main/event/"
OPTIONS = {
    "cost_threshold": "0.2",
    "geometry_cost_threshold": "0.8",
    "max_gap_captures": "1",
    "launch_key": KEY,
}


def click(client: Client, events: list[Event], **fields: str) -> Any:
    ids = [event.pk for event in events]
    return post(client, ids, url=EVENTS, action="run_tracking", **OPTIONS | fields)


def run(event: Event, **options: Any) -> Job:
    row = LaunchRow("Tracking", event.project, {"event_id": event.pk, **options})
    return run_to_end(launch(TrackingTask, [row])[0])


def make_busy_night() -> Event:
    """Individuals that stay, arrive and leave, with taxa, and a withdrawn identification."""
    event = make_night([A, B], [A, B, C], [A], [A, B])
    for number, detection in enumerate(detections(event)):
        make_classification(detection=detection, score=number / 10)
    for occurrence in Occurrence.objects.all():
        occurrence.save()
    Identification.objects.create(
        occurrence=Occurrence.objects.latest("pk"),
        user=make_user(),
        taxon=make_taxon(),
        withdrawn=True,
    )
    return event


@pytest.mark.usefixtures("published")
def test_selected_events_make_one_job_a_project(admin_client: Client) -> None:
    trap, other = make_deployment(), make_deployment()
    nights = [make_event(deployment=place) for place in (trap, trap, other)]
    page = post(admin_client, [night.pk for night in nights], url=EVENTS, action="run_tracking")
    assert "Run Tracking" in page.text
    click(admin_client, nights)
    several, single = Job.objects.order_by("params__config__event_id")[::-1]
    if several.project != trap.project:
        several, single = single, several
    assert several.params["config"]["event_ids"] == sorted(night.pk for night in nights[:2])
    assert "event_id" not in several.params["config"]
    assert several.name == "Tracking on 2 nights"
    assert single.project == other.project
    assert single.params["config"]["event_id"] == nights[2].pk


@pytest.mark.usefixtures("published")
def test_selected_events_can_be_tried(admin_client: Client) -> None:
    trap = make_deployment()
    nights = [make_night([A], [A], event=make_event(deployment=trap)) for _ in range(2)]
    page = post(admin_client, [night.pk for night in nights], url=EVENTS, action="run_tracking")
    assert 'name="_dry_run"' in page.text
    click(admin_client, nights, _dry_run="on")
    assert Job.objects.get().dry_run


def test_option_out_of_range_is_told_at_its_field(admin_client: Client) -> None:
    response = click(admin_client, [make_event()], cost_threshold="0")
    assert "Cost threshold must be above 0, got 0." in response.text
    assert not told(response)
    assert not Job.objects.exists()


def test_job_of_several_events_tracks_each() -> None:
    trap = make_deployment()
    nights = [make_night([A], [A], event=make_event(deployment=trap)) for _ in range(2)]
    row = LaunchRow("Tracking", trap.project, {"event_ids": [night.pk for night in nights]})
    job = run_to_end(launch(TrackingTask, [row])[0])
    assert job.status == JobState.SUCCESS
    assert [tracks(night) for night in nights] == [{(0, 1)}, {(0, 1)}]


def test_events_of_another_project_are_left_alone_and_told() -> None:
    own, foreign = (make_night([A], [A], event=make_event()) for _ in range(2))
    row = LaunchRow("Tracking", own.project, {"event_ids": [foreign.pk, own.pk]})
    job = run_to_end(launch(TrackingTask, [row])[0])
    assert (tracks(own), tracks(foreign)) == ({(0, 1)}, {(0,), (1,)})
    assert (job.status, job.outcome) == (JobState.SUCCESS, Outcome.PROBLEMS)
    told = job.logs.filter(level="WARNING").values_list("message", flat=True)
    assert list(told) == [f"Skipped 1: nights of another project. Ids: {foreign.pk}."]


def test_single_event_and_a_job_without_project_take_all() -> None:
    trap = make_deployment()
    for config in ("event_id", "event_ids"):
        event = make_night([A], [A], event=make_event(deployment=trap))
        options = {config: event.pk if config == "event_id" else [event.pk]}
        project = make_deployment().project if config == "event_id" else None
        run_to_end(launch(TrackingTask, [LaunchRow("Tracking", project, options)])[0])
        assert tracks(event) == {(0, 1)}


def test_dry_run_that_left_events_alone_is_applied() -> None:
    own, foreign = (make_night([A], [A], event=make_event()) for _ in range(2))
    row = LaunchRow("Tracking", own.project, {"event_ids": [own.pk, foreign.pk]})
    dry = run_to_end(launch(TrackingTask, [row], dry_run=True)[0])
    run_to_end(apply(dry, user=None))
    assert (tracks(own), tracks(foreign)) == ({(0, 1)}, {(0,), (1,)})


def test_vanished_event_is_named() -> None:
    event = make_event()
    config = {"event_ids": [event.pk, 987_654]}
    job = run_to_end(launch(TrackingTask, [LaunchRow("Tracking", event.project, config)])[0])
    assert job.status == JobState.FAILURE
    assert "Night 987654 no longer exists." in job.error


def test_second_run_is_reverted_to_the_first() -> None:
    event = make_busy_night()
    run(event, max_gap_captures=2)
    first = rows()
    job = run(event, geometry_cost_threshold=0.001, max_gap_seconds=1)
    assert Detection.objects.filter(next_detection=None).count() == 8
    revert(job)
    assert rows() == first


def test_individual_that_a_person_has_identified_since_stays_whole() -> None:
    event = make_night([A, B], [A, B], [A])
    job = run(event)
    identified, _ = Occurrence.objects.order_by("pk")
    Identification.objects.create(occurrence=identified, taxon=make_taxon(), user=make_user())
    reverting = revert(job)
    assert tracks(event) == {(0, 2, 4), (1,), (3,)}
    assert links(event) == {(0, 2), (2, 4)}
    assert {reason for _, _, reason in left(reverting)} == {
        "identified since",
        "its occurrence was left alone",
        "a row of it was left alone",
    }


def test_occurrence_that_a_person_has_identified_since_is_not_added_to() -> None:
    event = make_night([A], [A])
    run(event)
    job = run(event, geometry_cost_threshold=0.001, max_gap_seconds=1)
    parted, _ = Occurrence.objects.order_by("pk")
    Identification.objects.create(occurrence=parted, taxon=make_taxon(), user=make_user())
    revert(job)
    assert tracks(event) == {(0,), (1,)}


@pytest.mark.django_db(transaction=True)
def test_nobody_identifies_an_occurrence_while_its_tracks_are_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event = make_night([A], [A])
    first, _ = occurrences(event)

    def identify() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        Identification.objects.create(occurrence=first, taxon=make_taxon(), user=make_user())

    def beside_a_person(ids: list[int]) -> Any:
        with pytest.raises(OperationalError, match="lock timeout"):
            race(identify)
        return read_directions(ids)

    monkeypatch.setattr(task, "read_directions", beside_a_person)
    assert run(event).status == JobState.SUCCESS
    assert tracks(event) == {(0, 1)}
