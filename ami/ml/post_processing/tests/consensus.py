"""Individuals with several frames, and their consensus."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from ami.base.tests.factories import NIGHT, make_capture, make_detection, make_occurrence
from ami.main.models import Classification, Occurrence, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.tests.vectors import make_classifier, make_ranks, make_source, run
from ami.ml.post_processing.track_consensus import TrackConsensusTask

FRAMES = ([0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.3, 0.65, 0.05])
BOX = [100.0, 100.0, 200.0, 200.0]


@pytest.fixture
def classifier() -> Algorithm:
    """A classifier of three species of one genus."""
    make_ranks("F", "G", "a", "b", "c")
    return make_classifier("a", "b", "c")


def make_track(
    algorithm: Algorithm | None,
    *frames: Any,
    boxes: Sequence[list[float] | None] = (),
    occurrence: Occurrence | None = None,
) -> Occurrence:
    """One individual. A frame is its scores, or the fields of its classification.

    Without `boxes`, it moves between the frames.
    """
    occurrence = occurrence or make_occurrence()
    begun = occurrence.detections.count()
    for number, frame in enumerate(frames, start=begun):
        fields = frame if isinstance(frame, dict) else {"scores": frame}
        if (scores := fields.get("scores")) and "taxon" not in fields:
            names = ("a", "b", "c")
            fields |= {
                "taxon": Taxon.objects.filter(name=names[scores.index(max(scores))]).first(),
                "score": max(scores),
            }
        capture = make_capture(
            deployment=occurrence.deployment, timestamp=NIGHT + timedelta(minutes=number)
        )
        by = 150 * number
        box = boxes[number - begun] if boxes else [BOX[0] + by, BOX[1], BOX[2] + by, BOX[3]]
        detection = make_detection(source_image=capture, occurrence=occurrence, bbox=box)
        make_source(**{"algorithm": algorithm} | fields, detection=detection)
    occurrence.save()
    return occurrence


def consensus(**options: Any) -> dict[str, int]:
    return run(TrackConsensusTask, **options)


def result(occurrence: Occurrence) -> Classification | None:
    """The only current classification of the individual, if it is a consensus."""
    current = Classification.objects.filter(detection__occurrence=occurrence, terminal=True)
    return current.get() if current.filter(algorithm__key="track_consensus").exists() else None


def name_of(occurrence: Occurrence) -> tuple[Any, Any]:
    occurrence.refresh_from_db()
    taxon = occurrence.determination
    return (taxon.name if taxon else None), occurrence.determination_score
