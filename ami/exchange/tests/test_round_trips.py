"""What a format carries comes back equal: exported, imported into another project, compared."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

from ami.base.tests.snapshots import snapshot
from ami.exchange.export.scope import Scope
from ami.exchange.importing.options import ImportOptions
from ami.exchange.importing.service import import_here, new_import
from ami.exchange.plan import ImportPlan, Outcome
from ami.exchange.reading.records import FACTS as FACTS_OF_DEPLOYMENTS
from ami.exchange.reading.registry import READERS
from ami.exchange.tests.drawn_worlds import Built, World, worlds
from ami.exchange.tests.export_world import exported
from ami.exchange.tests.round_trips import (
    Contents,
    algorithm,
    best,
    determination,
    is_identified,
    local,
    name,
    person,
    said,
)
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    Taxon,
)
from ami.ml.models import Algorithm

pytestmark = pytest.mark.django_db
INDEX = Path(settings.ROOT) / "docs/reference/formats/index.md"
ADDRESS = "https://images.example.org/"
OWN = (SourceImage, Detection, Classification, Occurrence, Identification)
TABLES = (*OWN, Deployment, Event, SourceImageCollection, Taxon, Algorithm)
PLACE = ("name", *FACTS_OF_DEPLOYMENTS)
Told = Iterable[Any]

# The facts that a file may carry.
FACTS: dict[str, Callable[[Contents], Told]] = {
    "path": lambda it: [it.capture(one)[1] for one in it.captures],
    "deployment": lambda it: [it.capture(one)[0] for one in it.captures],
    "place": lambda it: {
        tuple(getattr(row, name) for name in PLACE)
        for one in it.captures
        if (row := one.deployment)
    },
    "time": lambda it: [(it.capture(one), one.timestamp) for one in it.captures],
    "local time": lambda it: [(it.capture(one)[1], local(one)) for one in it.captures],
    "night": lambda it: [
        (it.capture(one), one.event and one.event.group_by) for one in it.captures
    ],
    "size": lambda it: [(it.capture(one)[1], one.width, one.height) for one in it.captures],
    "box": lambda it: [it.detection(one)[1:] for one in it.detections],
    "crop": lambda it: [(it.detection(one), one.path) for one in it.detections],
    "score of the detector": lambda it: [
        (it.detection(one)[1:], 1.0 if one.detection_score is None else one.detection_score)
        for one in it.detections
    ],
    "occurrence": lambda it: [
        tuple(sorted(map(it.detection, rows))) for rows in it.occurrences.values()
    ],
    "name": lambda it: [(it.detection(one)[1:], name(it, one)) for one in it.detections],
    "best classification": lambda it: [
        (it.detection(one), row.taxon and row.taxon.name, row.score, algorithm(row)[0])
        for one in it.detections
        if (row := best(it, one))
    ],
    "classification without an identification": lambda it: [
        (it.detection(one), row.taxon and row.taxon.name, row.score, algorithm(row)[0])
        for one in it.detections
        if not is_identified(one) and (row := best(it, one))
    ],
    "classifications": lambda it: [
        (it.detection(one), said(row), said(row.applied_to))
        for one in it.detections
        for row in it.classifications(one).filter(taxon__isnull=False)
    ],
    "determination": lambda it: [
        (it.detection(one), determination(it, one)) for one in it.detections
    ],
    "identification": lambda it: [
        (seen, row.taxon and row.taxon.name, person(row)) for seen, row in it.answers()
    ],
    "blind": lambda it: [(seen, row.blind) for seen, row in it.answers()],
    "time of the identification": lambda it: [(seen, row.created_at) for seen, row in it.answers()],
}


CARRIED: dict[str, set[str]] = {
    "camtrap_dp": {
        *("path", "deployment", "place", "time", "local time", "night", "size", "box"),
        *(
            "occurrence",
            "determination",
            "name",
            "classifications",
            "best classification",
            "identification",
        ),
        *("blind", "time of the identification", "classification without an identification"),
    },
    "megadetector": {"path", "local time", "size", "box", "score of the detector", "name"},
    "coco_camera_traps": {
        *("path", "deployment", "local time", "size", "box", "occurrence", "name"),
        *("classification without an identification", "identification"),
    },
    "antenna_csv": {
        *("path", "deployment", "night", "box", "crop", "determination", "best classification"),
        *("classification without an identification", "identification"),
    },
    "darwin_core": {"path", "deployment", "place", "time", "local time", "night"},
}


def is_sized(one: SourceImage) -> bool:
    return bool(one.width and one.height)


def is_whole(one: SourceImage) -> bool:
    """Whether the capture has a size if it has detections, whose boxes are shares of it."""
    return is_sized(one) or not one.detections.exists()


def is_placed(one: SourceImage) -> bool:
    place = one.deployment
    return bool(place and place.latitude is not None and one.timestamp)


def of_camtrap_dp(project: Project) -> Contents:
    return Contents(project, holds_capture=lambda one: is_placed(one) and is_whole(one))


def of_sized(project: Project) -> Contents:
    return Contents(project, holds_capture=is_whole)


def of_antenna_csv(project: Project) -> Contents:
    """The best detection of each occurrence: that of its best classification, or its first."""
    shown = set()
    for one in project.occurrences.all():
        row = Classification.objects.filter(detection__occurrence=one).best_first().first()
        first = one.detections.order_by("pk").first()
        shown.add(row.detection_id if row else first and first.pk)
    rows = Detection.objects.filter(pk__in=shown)
    captures = set(rows.values_list("source_image_id", flat=True))
    return Contents(
        project,
        holds_capture=lambda one: one.pk in captures,
        holds_detection=lambda one: one.pk in shown,
    )


def of_darwin_core(project: Project) -> Contents:
    return Contents(
        project,
        holds_capture=lambda one: bool(one.event_id and one.timestamp),
        holds_detection=lambda one: False,
        path=lambda path: ADDRESS + quote(path),
    )


HELD: dict[str, Callable[[Project], Contents]] = {
    "camtrap_dp": of_camtrap_dp,
    "megadetector": of_sized,
    "coco_camera_traps": of_sized,
    "antenna_csv": of_antenna_csv,
    "darwin_core": of_darwin_core,
}


def told(contents: Contents, key: str) -> dict[str, Counter[Any]]:
    return {fact: Counter(FACTS[fact](contents)) for fact in CARRIED[key]}


def run(key: str, path: Path, project: Project, **options: Any) -> tuple[Job, ImportPlan]:
    job = new_import(READERS[key], ImportOptions(**options), name=path.name, project=project)
    plan = import_here(job, path)
    assert job.status == JobState.SUCCESS, job.error
    return job, plan


def places(project: Project) -> list[Any]:
    return list(project.deployments.order_by("pk").values_list("pk", *PLACE))


def check(key: str, world: World, folder: Path) -> None:
    built = Built(world)
    expected = told(HELD[key](built.project), key)
    copy = built.copy(is_whole="place" not in CARRIED[key])
    before = snapshot(*OWN), places(copy)
    options = {"media_url": ADDRESS} if key == "darwin_core" else {}
    path = exported(key, Scope(built.project.pk), folder, **options).path
    if not expected["path"]:
        return
    named = {"deployment": world.traps[0].name} if key == "megadetector" else {}

    job, _ = run(key, path, copy, **named)

    found = told(Contents(copy), key)
    for fact, value in expected.items():
        assert found[fact] == value, fact
    imported = snapshot(*TABLES)
    _, plan = run(key, path, copy, **named)
    assert not list(plan.entries[Outcome.DIFFERS])
    assert not plan.writes
    assert snapshot(*TABLES) == imported
    assert run_to_end(request_revert(job)).status == JobState.SUCCESS
    assert (snapshot(*OWN), places(copy)) == before


@pytest.mark.parametrize("key", list(CARRIED))
def test_what_a_format_carries_comes_back_equal(key: str) -> None:
    most_traps = 1 if key == "megadetector" else 2

    @hypothesis_settings(
        max_examples=15,
        phases=[Phase.generate],  # to find a smaller world takes minutes
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds(most_traps=most_traps))
    def holds(world: World) -> None:
        with TemporaryDirectory() as folder, transaction.atomic():
            check(key, world, Path(folder))
            transaction.set_rollback(True)

    holds()


def test_the_page_tells_what_comes_back() -> None:
    lines = INDEX.read_text().split("## What comes back")[1].splitlines()
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]
    keys = [cell.partition("]")[0].lstrip("[") for cell in header[1:]]
    assert {
        key: {row[0] for row in rows if row[number] == "yes"}
        for number, key in enumerate(keys, start=1)
    } == CARRIED
    assert [row[0] for row in rows] == list(FACTS)
