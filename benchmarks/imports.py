"""Imports of one large file per format: speed and memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from django.db import connection

from ami.exchange.importing.options import ImportOptions
from ami.exchange.importing.service import import_here, new_import
from ami.exchange.reading.registry import reader_of
from ami.jobs.states import JobState
from ami.main.models import Detection
from benchmarks import databases
from benchmarks.memory import measure
from benchmarks.report import Figure
from benchmarks.timing import timed

TITLE = "Imports"
DETECTIONS = 226_000
MOST_SECONDS = 60
MOST_MEMORY = 300
PER_OCCURRENCE = 10
SPECIES = 300
NIGHTS = 90


def run(*, quick: bool) -> list[Figure]:
    detections = 2_000 if quick else DETECTIONS
    empty = databases.empty()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "occurrences.json"
        path.write_text("".join(text_of(detections)))
        with databases.copied(empty):
            seconds = timed(lambda: import_file(path))
            found = Detection.objects.count()
            again = timed(lambda: import_file(path))
            own = connection.settings_dict["NAME"]
        with databases.copied(empty):
            memory, _ = measure("imports", own, str(path))
    assert found == detections
    name = f"JSON, {detections:,} detections"
    return [
        Figure(f"{name}: time", seconds, "s", at_most=MOST_SECONDS),
        Figure(f"{name}: CPU", seconds.cpu, "s"),
        Figure(f"{name}, again: time", again, "s", at_most=MOST_SECONDS),
        Figure(f"{name}: peak memory", memory / 2**20, "MB", at_most=MOST_MEMORY),
    ]


def text_of(detections: int) -> Iterator[str]:
    """Yield an export of Antenna with occurrences of ten detections on ten captures."""
    for number, record in enumerate(_records(Random(1), detections // PER_OCCURRENCE)):
        yield ("," if number else "[") + json.dumps(record)
    yield "]"


def _records(random: Random, occurrences: int) -> Iterator[dict[str, Any]]:
    """Yield occurrences, night by night; each night has 42 captures, which they share."""
    for number in range(occurrences):
        night = number * NIGHTS // occurrences
        day = f"2022-{6 + night // 30:02}-{1 + night % 30:02}"
        captures = [(number + place) % 42 for place in range(PER_OCCURRENCE)]
        examples = [_example(random, day, capture) for capture in captures]
        yield {
            "id": f"occurrence-{number}",
            "label": examples[0]["label"],
            "deployment": "Trap",
            "event": {"id": night, "day": day},
            "examples": examples,
        }


def _example(random: Random, day: str, capture: int) -> dict[str, Any]:
    x, y = random.random() * 4000, random.random() * 2000
    species = random.randrange(SPECIES)
    return {
        "source_image_path": f"trap/snapshots/{day}/{capture:03}-snapshot.jpg",
        "source_image_width": 4096,
        "source_image_height": 2160,
        "label": f"Speciosa {chr(97 + species % 26)}{chr(97 + species // 26)}us",
        "score": round(random.random(), 6),
        "cropped_image_path": f"exports/crops/trap/{day}/{capture:03}-{x:.0f}-{y:.0f}.jpg",
        "timestamp": f"{day}T0{capture // 10}:{capture % 10:02}:00.000Z",
        "bbox": [x, y, x + 90, y + 60.5],
    }


def import_file(path: Path) -> None:
    """Import the file as the command does."""
    job = new_import(
        reader_of(path), ImportOptions(), name=path.name, project=None, project_name="Large"
    )
    import_here(job, path)
    assert job.status == JobState.SUCCESS, job.error


def run_task(path: str) -> None:
    """Import the file at `path` into the database in use."""
    import_file(Path(path))
