from datetime import UTC, datetime, time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_capture, make_deployment, make_detection, make_occurrence
from ami.base.tests.snapshots import snapshot
from ami.main.models import Deployment, Event, Occurrence, SourceImage, group_images_into_events

pytestmark = pytest.mark.django_db


def make_captures(deployment: Deployment, *times: str) -> list[SourceImage]:
    return [
        make_capture(
            deployment=deployment, timestamp=datetime.fromisoformat(time).replace(tzinfo=UTC)
        )
        for time in times
    ]


def nights_of(captures: list[SourceImage]) -> list[str | None]:
    for capture in captures:
        capture.refresh_from_db()
    return [capture.event.group_by if capture.event else None for capture in captures]


def test_night_runs_from_noon_to_noon() -> None:
    deployment = make_deployment()
    captures = make_captures(
        deployment, "2022-06-20T11:59", "2022-06-20T12:00", "2022-06-20T23:00", "2022-06-21T11:59"
    )

    nights = group_images_into_events(deployment)

    assert nights_of(captures) == ["2022-06-19", "2022-06-20", "2022-06-20", "2022-06-20"]
    assert [night.group_by for night in nights] == ["2022-06-19", "2022-06-20"]
    assert (nights[1].start, nights[1].end) == (captures[1].timestamp, captures[3].timestamp)
    assert [night.captures_count for night in nights] == [1, 3]
    assert nights[0].project == deployment.project


def test_noon_is_that_of_the_deployment() -> None:
    deployment = make_deployment(time_zone="America/New_York")
    captures = make_captures(deployment, "2022-06-20T15:59", "2022-06-20T16:00")

    group_images_into_events(deployment)

    assert nights_of(captures) == ["2022-06-19", "2022-06-20"]


def test_deployment_names_the_time_that_divides_nights() -> None:
    deployment = make_deployment(time_zone="America/New_York", night_starts=time(18, 30))
    captures = make_captures(deployment, "2022-06-20T22:29", "2022-06-20T22:30", "2022-06-21T16:00")

    group_images_into_events(deployment)

    assert nights_of(captures) == ["2022-06-19", "2022-06-20", "2022-06-20"]
    deployment.night_starts = time(0)
    deployment.save(regroup_async=False)
    assert nights_of(captures) == ["2022-06-20", "2022-06-20", "2022-06-21"]


def test_grouping_again_changes_nothing() -> None:
    deployment = make_deployment()
    make_captures(deployment, "2022-06-20T23:00", "2022-06-22T23:00")
    group_images_into_events(deployment)
    before = snapshot(Event, SourceImage)

    assert len(group_images_into_events(deployment)) == 2

    assert snapshot(Event, SourceImage) == before


def test_captures_without_a_time_and_other_deployments_stay() -> None:
    deployment = make_deployment()
    untimed = make_capture(deployment=deployment, timestamp=None)
    stranger = make_capture()

    assert group_images_into_events(deployment) == []
    assert nights_of([untimed, stranger]) == [None, None]


def test_occurrences_follow_their_first_capture() -> None:
    deployment = make_deployment()
    early, late = make_captures(deployment, "2022-06-20T15:00", "2022-06-20T23:00")
    group_images_into_events(deployment)
    occurrence = make_occurrence(deployment=deployment, event=late.event)
    for capture in (late, early):
        make_detection(source_image=capture, occurrence=occurrence)
    deployment.time_zone = "America/New_York"
    deployment.save()

    group_images_into_events(deployment)

    occurrence.refresh_from_db()
    assert nights_of([early, late]) == ["2022-06-19", "2022-06-20"]
    assert occurrence.event is not None
    assert occurrence.event.group_by == "2022-06-19"
    assert occurrence.event.occurrences_count == 1


def test_night_that_lost_its_captures_is_kept() -> None:
    deployment = make_deployment()
    (capture,) = make_captures(deployment, "2022-06-20T23:00")
    group_images_into_events(deployment)
    SourceImage.objects.filter(pk=capture.pk).update(timestamp=datetime(2022, 7, 1, 23, tzinfo=UTC))

    nights = group_images_into_events(deployment)

    assert [night.group_by for night in nights] == ["2022-07-01"]
    assert Event.objects.get(group_by="2022-06-20").captures_count == 0


def test_queries_do_not_grow_with_captures() -> None:
    def queries(count: int) -> int:
        deployment = make_deployment()
        for number in range(count):
            capture = make_capture(
                deployment=deployment, timestamp=datetime(2022, 6, 1 + number, 23, tzinfo=UTC)
            )
            make_detection(source_image=capture, occurrence=make_occurrence(deployment=deployment))
        with CaptureQueriesContext(connection) as context:
            group_images_into_events(deployment)
        return len(context)

    assert queries(12) == queries(1)
    assert not Occurrence.objects.filter(event=None).exists()
