"""Tracking compared with a pairwise Python loop, on a night of many captures."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
from django.db import connection

from ami.jobs.models import Job
from ami.main.determinations import update_determinations
from ami.main.management.scale import Sizes
from ami.main.models import Classification, Deployment, Detection, Event, Occurrence, SourceImage
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.tracking import TrackingTask
from benchmarks import databases, tracking_peer
from benchmarks.report import Figure
from benchmarks.timing import QueryCounter, Seconds, interleaved, timed

TITLE = "Tracking"
ROUNDS = 1  # the loop takes minutes
BASE = Sizes(
    captures=100,
    occurrences=100,
    detections=100,
    classifications=100,
    identifications=1,
    taxa=0,
)
CAPTURES, INDIVIDUALS, VECTOR = 400, 15, 1_024
WIDTH, HEIGHT, SIDE = 4096, 2160, 150
NIGHT = "the night to track"

# What the two must agree on: the links, and the occurrence of each detection.
OUTCOME = """
SELECT md5(string_agg(row::text, ' ' ORDER BY row::text)) FROM (
    SELECT (d.id, d.next_detection_id, round(d.link_cost::numeric, 3), d.occurrence_id,
            o.determination_id, o.determination_score) AS row
    FROM main_detection d JOIN main_occurrence o ON o.id = d.occurrence_id
) rows
"""


def run(*, quick: bool) -> list[Figure]:
    captures, rounds = (10, 1) if quick else (CAPTURES, ROUNDS)
    base = databases.seeded("quick_tracking" if quick else "tracking", BASE)
    try:
        return [
            *_speed(base, "boxes alone", captures=captures, length=0, rounds=rounds),
            *_speed(
                base, f"vectors of {VECTOR:,}", captures=captures, length=VECTOR, rounds=rounds
            ),
            *_queries(base, captures=captures),
        ]
    finally:
        if quick:
            databases.drop(base)


def run_task() -> None:
    """Run the task as a worker does, on the night."""
    job = Job.objects.create(name=TrackingTask.name, job_type_key=JOB_TYPE)
    TrackingTask(job=job, event_id=_night().pk).run()


def _night() -> Event:
    return Event.objects.get(group_by=NIGHT)


def _speed(base: str, label: str, *, captures: int, length: int, rounds: int) -> list[Figure]:
    candidates: dict[str, Callable[[], object]] = {
        "task": run_task,
        "loop": lambda: tracking_peer.track(_night()),
    }
    outcomes: set[str] = set()

    def time_on_copy(work: Callable[[], object]) -> Seconds:
        with _fresh(base, captures=captures, length=length):
            seconds = timed(work)
            with connection.cursor() as cursor:
                cursor.execute(OUTCOME)
                outcomes.add(cursor.fetchone()[0])
        return seconds

    seconds = interleaved(
        {name: partial(time_on_copy, work) for name, work in candidates.items()}, rounds=rounds
    )
    if len(outcomes) != 1:
        sys.exit("The task and its peer left different rows, so their times say nothing.")
    detections = captures * INDIVIDUALS
    return [
        Figure(f"{label}: task, {detections:,} detections", seconds["task"], "s"),
        Figure(f"{label}: task, {detections:,} detections: CPU", seconds["task"].cpu, "s"),
        Figure(f"{label}: detections per second", detections / seconds["task"]),
        Figure(f"{label}: pairwise Python loop", seconds["loop"], "s"),
        Figure(f"{label}: loop ÷ task", seconds["loop"] / seconds["task"], at_least=10),
    ]


def _queries(base: str, *, captures: int) -> list[Figure]:
    with _fresh(base, captures=captures, length=0), QueryCounter() as counter:
        run_task()
    return [Figure("queries of the task", counter.count)]


@contextmanager
def _fresh(base: str, *, captures: int, length: int) -> Iterator[None]:
    """Use a copy with a night of `captures` and vectors of `length` numbers, 0 for none."""
    with databases.copied(base):
        _fill(captures=captures, length=length)
        databases.warm()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        yield


def _fill(*, captures: int, length: int) -> None:
    """Create a night on which each individual stays in place and is on 90% of the captures."""
    chance = np.random.default_rng(1)
    trap = Deployment.objects.earliest("pk")
    event = Event.objects.create(deployment=trap, project=trap.project, group_by=NIGHT)
    start = datetime(2022, 6, 20, 22, tzinfo=UTC)
    frames = SourceImage.objects.bulk_create(
        SourceImage(
            deployment=trap, project=trap.project, event=event, path=f"track-{minute}.jpg",
            timestamp=start + timedelta(minutes=minute), width=WIDTH, height=HEIGHT,
        )
        for minute in range(captures)
    )  # fmt: skip
    places = [(spot, frame) for frame in frames for spot in range(INDIVIDUALS)]
    corners = 50 + np.array([((s % 5) * 800, s // 5 * 700) for s, _ in places], dtype=float)
    corners += chance.uniform(0, 10, corners.shape)
    gone = chance.random(len(places)) < 0.1  # moved elsewhere, like another individual
    corners[gone] += (400, 350)
    looks = chance.normal(size=(INDIVIDUALS, length))
    occurrences = Occurrence.objects.bulk_create(
        Occurrence(event=event, deployment=trap, project=trap.project) for _ in places
    )
    detections = Detection.objects.bulk_create(
        Detection(
            source_image=frame, occurrence=occurrence, bbox=[x, y, x + SIDE, y + SIDE],
            similarity_vector=(looks[spot] + chance.normal(scale=0.1, size=length)).tolist()
            if length
            else None,
        )
        for (spot, frame), occurrence, (x, y) in zip(
            places, occurrences, corners.tolist(), strict=True
        )
    )  # fmt: skip
    taxon = Classification.objects.earliest("pk").taxon
    Classification.objects.bulk_create(
        Classification(detection=detection, taxon=taxon, score=score)
        for detection, score in zip(detections, chance.random(len(places)).tolist(), strict=True)
    )
    update_determinations(occurrence.pk for occurrence in occurrences)
