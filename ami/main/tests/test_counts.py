import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import (
    make_capture,
    make_deployment,
    make_detection,
    make_occurrence,
)
from ami.base.tests.snapshots import snapshot
from ami.main.counts import update_capture_counts, update_deployment_counts, update_event_counts
from ami.main.models import Deployment, Event, SourceImage

pytestmark = pytest.mark.django_db


@pytest.fixture
def deployment() -> Deployment:
    """One night of two captures with three detections of two occurrences."""
    deployment = make_deployment()
    event = Event.objects.create(
        project=deployment.project, deployment=deployment, group_by="2022-06-20"
    )
    captures = [make_capture(deployment=deployment, event=event) for _ in range(2)]
    occurrences = [make_occurrence(deployment=deployment, event=event) for _ in range(2)]
    for capture, occurrence in ((0, 0), (0, 1), (1, 0)):
        make_detection(source_image=captures[capture], occurrence=occurrences[occurrence])
    make_detection()
    return deployment


def test_captures_are_recounted(deployment: Deployment) -> None:
    update_capture_counts(deployment.captures.values_list("pk", flat=True))

    counts = deployment.captures.order_by("pk").values_list("detections_count", flat=True)
    assert list(counts) == [2, 1]


def test_nights_are_recounted(deployment: Deployment) -> None:
    update_event_counts(deployment.events.values_list("pk", flat=True))

    event = deployment.events.get()
    assert (event.captures_count, event.detections_count, event.occurrences_count) == (2, 3, 2)


def test_deployments_are_recounted(deployment: Deployment) -> None:
    update_deployment_counts([deployment.pk])

    deployment.refresh_from_db()
    assert [getattr(deployment, name) for name in Deployment.COUNTS] == [1, 2, 3, 2]


def test_counts_fall_back_to_zero(deployment: Deployment) -> None:
    update_deployment_counts([deployment.pk])
    deployment.captures.all().delete()
    deployment.occurrences.all().delete()

    update_deployment_counts([deployment.pk])

    deployment.refresh_from_db()
    assert [getattr(deployment, name) for name in Deployment.COUNTS] == [1, 0, 0, 0]


def test_others_are_left_alone_and_no_ids_are_no_work(deployment: Deployment) -> None:
    before = snapshot(Deployment, Event, SourceImage)

    update_capture_counts([])
    update_event_counts([])
    update_deployment_counts([make_deployment().pk])

    after = snapshot(Deployment, Event, SourceImage)
    assert after["Deployment"][:-1] == before["Deployment"]
    assert (after["Event"], after["SourceImage"]) == (before["Event"], before["SourceImage"])


def test_one_query_whatever_the_number(deployment: Deployment) -> None:
    ids = [*deployment.captures.values_list("pk", flat=True), -1, 10**12]

    with CaptureQueriesContext(connection) as queries:
        update_capture_counts(ids)

    assert len(queries) == 1
