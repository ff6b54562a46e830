"""A deployment with known counts, changes to it, and a check of its counts."""

from ami.base.tests.factories import make_capture, make_deployment, make_detection, make_occurrence
from ami.main.counts import CACHED, refresh_counts
from ami.main.models import Deployment, Detection, Event, Occurrence, SourceImage


def make_night(deployment: Deployment, group_by: str = "2022-06-20") -> Event:
    return Event.objects.create(
        project=deployment.project, deployment=deployment, group_by=group_by
    )


def make_counted_deployment() -> Deployment:
    """Create one night with two captures, three detections and two occurrences."""
    deployment = make_deployment()
    event = make_night(deployment)
    captures = [make_capture(deployment=deployment, event=event) for _ in range(2)]
    occurrences = [make_occurrence(deployment=deployment, event=event) for _ in range(2)]
    for capture, occurrence in ((0, 0), (0, 1), (1, 0)):
        make_detection(source_image=captures[capture], occurrence=occurrences[occurrence])
    make_detection()
    refresh_counts()
    return deployment


def counts_of(row: Deployment | Event | SourceImage) -> list[int]:
    """Read the counts again, in the order of the table."""
    row.refresh_from_db()
    return [getattr(row, name) for name in CACHED[row._meta.db_table]]


def first_capture(deployment: Deployment) -> SourceImage:
    return deployment.captures.order_by("pk")[0]


def add_in_bulk(deployment: Deployment) -> None:
    capture = first_capture(deployment)
    Detection.objects.bulk_create(Detection(source_image=capture) for _ in range(4))
    Occurrence.objects.bulk_create(Occurrence(deployment=deployment) for _ in range(3))


def move_a_capture_to_another_night(deployment: Deployment) -> None:
    night = make_night(deployment, "2022-06-21")
    SourceImage.objects.filter(pk=first_capture(deployment).pk).update(event=night)
