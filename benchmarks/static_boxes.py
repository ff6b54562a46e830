"""Static boxes: how long it takes to find the places where boxes stay, as detections grow."""

from dataclasses import dataclass

from django.db import connection, transaction

from ami.main.models import Deployment, Detection, Event, Project
from ami.ml.post_processing.static_boxes.places import find_places
from benchmarks import databases
from benchmarks.report import Figure
from benchmarks.timing import Seconds, interleaved, timed

TITLE = "Static boxes"
ROUNDS = 3
TRAPS, NIGHTS, STATIC, MOVING = 4, 50, 4, 10  # boxes are per capture

CAPTURES = """
INSERT INTO main_sourceimage (created_at, updated_at, deployment_id, project_id, event_id, path,
                              width, height, detections_count)
SELECT now(), now(), deployment_id, project_id, e.id, e.id || '/' || n, 4096, 2160, 0
FROM main_event e, generate_series(1, %s) n
"""
# Boxes of moths lie anywhere. Those of dirt differ by at most 2 pixels from capture to capture.
BOXES = """
INSERT INTO main_detection (created_at, updated_at, source_image_id, project_id, bbox, path)
SELECT now(), now(), s.id, s.project_id, ARRAY[x, y, x + side, y + side], ''
FROM main_sourceimage s, LATERAL (
    SELECT random() * 4000 AS x, random() * 2000 AS y, 30 + random() * 150 AS side
    FROM generate_series(1, %s) WHERE s.id > 0
    UNION ALL
    SELECT n * 300 + random() * 2, n * 100 + random() * 2, 60 + random() * 2
    FROM generate_series(1, %s) n WHERE s.id > 0
) box
"""


@dataclass(frozen=True)
class BoxSizes:
    """The number of captures of each night, and which version of the rows this is."""

    captures: int
    version: int = 1


def run(*, quick: bool) -> list[Figure]:
    sizes = [BoxSizes(captures) for captures in ((1, 2) if quick else (25, 100))]
    prefix = "quick_boxes" if quick else "boxes"
    names = [databases.seeded(f"{prefix}_{one.captures}", one, fill=fill) for one in sizes]
    small, large = (one.captures * TRAPS * NIGHTS * (STATIC + MOVING) for one in sizes)
    seconds = interleaved(
        {name: lambda name=name: _timed(name) for name in names},  # type: ignore[misc]
        rounds=1 if quick else ROUNDS,
    )
    if quick:
        for name in names:
            databases.drop(name)
    first, last = (seconds[name] for name in names)
    return [
        Figure(f"places among {small:,} detections: CPU", first.cpu, "s"),
        Figure(f"places among {large:,} detections", last, "s"),
        Figure(f"places among {large:,} detections: CPU", last.cpu, "s"),
        Figure("fourfold ÷ onefold: CPU", last.cpu / first.cpu, at_most=5),
    ]


def fill(sizes: BoxSizes) -> None:
    """Write deployments with nights, captures and boxes in one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        project = Project.objects.create(name="Boxes")
        traps = Deployment.objects.bulk_create(
            Deployment(project=project, name=f"Trap {n}") for n in range(TRAPS)
        )
        Event.objects.bulk_create(
            Event(project=project, deployment=trap, group_by=f"night {n}")
            for trap in traps
            for n in range(NIGHTS)
        )
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(CAPTURES, [sizes.captures])
        cursor.execute(BOXES, [MOVING, STATIC])


def _timed(name: str) -> Seconds:
    with databases.opened(name):
        databases.warm()
        return timed(_find)


def _find() -> None:
    found = find_places(Detection.objects.all(), iou=0.9, min_captures=20, min_nights=2)
    assert len(found) == TRAPS * STATIC, len(found)
