"""Nights of boxes for tests of tracking."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_deployment,
    make_detection,
    make_occurrence,
)
from ami.main.models import Deployment, Detection, Event, Occurrence
from ami.ml.post_processing.tracking import TrackingTask

# Boxes far from each other: one individual each.
A, B, C = [100, 100, 200, 200], [500, 500, 600, 600], [800, 100, 900, 200]

Box = Sequence[float]


def moved(box: Box, by: float) -> list[float]:
    return [corner + by for corner in box]


def make_event(*, deployment: Deployment | None = None, **fields: Any) -> Event:
    trap = deployment or make_deployment()
    night = f"night {Event.objects.count()}"
    return Event.objects.create(
        **{"deployment": trap, "project": trap.project, "group_by": night} | fields
    )


def make_night(*captures: Iterable[Box], event: Event | None = None, **fields: Any) -> Event:
    """A night with one capture per minute and these boxes, each in a separate occurrence."""
    event = event or make_event()
    for minute, boxes in enumerate(captures):
        capture = make_capture(
            deployment=event.deployment,
            event=event,
            timestamp=NIGHT + timedelta(minutes=minute),
            **fields,
        )
        for box in boxes:
            occurrence = make_occurrence(deployment=event.deployment, event=event)
            make_detection(source_image=capture, occurrence=occurrence, bbox=box)
    return event


def detections(event: Event) -> list[Detection]:
    """The detections in the order in which :func:`make_night` created them."""
    return list(Detection.objects.filter(source_image__event=event).order_by("pk"))


def track(event: Event, **options: Any) -> TrackingTask:
    task = TrackingTask(event_id=event.pk, **options)
    task.run()
    return task


def tracks(event: Event) -> set[tuple[int, ...]]:
    """The positions, in :func:`detections`, of the detections that share an occurrence."""
    homes: dict[int | None, list[int]] = {}
    for number, detection in enumerate(detections(event)):
        homes.setdefault(detection.occurrence_id, []).append(number)
    return {tuple(numbers) for numbers in homes.values()}


def links(event: Event) -> set[tuple[int, int]]:
    rows = detections(event)
    number = {row.pk: place for place, row in enumerate(rows)}
    return {
        (number[row.pk], number[row.next_detection_id]) for row in rows if row.next_detection_id
    }


def occurrences(event: Event) -> list[Occurrence]:
    return list(Occurrence.objects.filter(event=event).order_by("pk"))
