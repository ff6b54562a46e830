"""A pass finds the same as its checks, whatever the rows contain."""

from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random
from zoneinfo import ZoneInfo

import pytest
from django.utils.timezone import now

from ami.base.tests.factories import (
    make_algorithm,
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_project,
    make_taxon,
)
from ami.integrity.finding import EVERYTHING, Survey
from ami.main.checks.declarations import CHECKS
from ami.main.checks.same_box import get_detections_with_same_box
from ami.main.checks.tests.faults.projects import without_triggers
from ami.main.checks.tests.world import execute
from ami.main.models import Classification, Detection, Event, SourceImage

pytestmark = pytest.mark.django_db

SIZES = (100, 0, None)
NUMBERS = ["-2", "-1", "0", "0.5", "1", "100", "100.5", "102", "NaN", "Infinity", "NULL"]
FRACTIONS = ["{0,0,1,1}", "{0.1,0.2,0.3,0.4}", "{5,5,5.5,5.5}", "{0,0,1,1.01}", "{-1,0,-0.5,0.5}"]
ODD_BOXES = ["{}", "{1,2,3}", "{1,2,3,4,5}", "{{1,2},{3,4}}", "[0:3]={1,2,30,40}", *FRACTIONS]
DETECT = """
INSERT INTO main_detection (created_at, updated_at, source_image_id, bbox, path)
SELECT now(), now(), capture, box::float8[], '' FROM unnest(%s) capture, unnest(%s) box
"""


def test_boxes_of_all_kinds() -> None:
    chance, deployment = Random(1), make_deployment()
    captures = [
        make_capture(deployment=deployment, width=width, height=height)
        for width in SIZES
        for height in SIZES
    ]
    boxes = [f"{{{','.join(chance.choices(NUMBERS, k=4))}}}" for _ in range(300)]
    execute(DETECT, [capture.pk for capture in captures], [None, *ODD_BOXES, *boxes])

    assert_same_as_checks("invalid_box", "box_outside_frame", "box_in_fractions")


def test_projects_of_all_kinds() -> None:
    """Of the capture, the detection and the classification."""
    deployment = make_deployment()
    projects = [deployment.project_id, make_project().pk, None]
    rows = [
        make_classification(
            detection=make_detection(source_image=make_capture(deployment=deployment))
        )
        for _ in range(27)
    ]
    with without_triggers():
        for number, row in enumerate(rows):
            chosen = [projects[number // step % 3] for step in (1, 3, 9)]
            detection = Detection.objects.filter(pk=row.detection_id)
            SourceImage.objects.filter(detections=row.detection_id).update(project=chosen[0])
            detection.update(project=chosen[1])
            Classification.objects.filter(pk=row.pk).update(project=chosen[2])

    assert_same_as_checks("stale_project")


def test_captures_around_their_nights() -> None:
    """Around the changes of clocks, too: some nights lie within the limits but for an hour."""
    chance = Random(1)
    for zone in ("UTC", "America/New_York", "Pacific/Auckland", "Australia/Lord_Howe"):
        for day in ("2022-03-12", "2022-04-02", "2022-10-01", "2022-11-05", "1989-12-31"):
            noon = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=ZoneInfo(zone))
            for edges in ((12, 12), (-24, 12), (12, 48), (-24, 48)):
                deployment = make_deployment(time_zone=zone)
                night = Event.objects.create(
                    deployment=deployment, project=deployment.project, group_by=day, start=noon
                )
                for _ in range(4):
                    hours = chance.choice(edges) + chance.uniform(-1.5, 1.5)
                    time = noon.astimezone(UTC) + timedelta(hours=hours)
                    make_capture(deployment=deployment, event=night, timestamp=time)
    make_capture(timestamp=datetime(1980, 1, 1, tzinfo=UTC))
    make_capture(timestamp=now() + timedelta(days=1))
    make_capture(timestamp=None)

    assert_same_as_checks("time_outside_night")


def test_classifications_by_one_algorithm_or_none() -> None:
    chance, taxon = Random(1), make_taxon()
    algorithms = [make_algorithm(), make_algorithm(), None]
    for _ in range(40):
        detection = make_detection()
        for _ in range(chance.randint(1, 4)):
            make_classification(
                detection=detection,
                taxon=taxon,
                algorithm=chance.choice(algorithms),
                score=chance.choice([0.5, None]),
                terminal=chance.random() < 0.8,
            )

    assert_same_as_checks("duplicate_classification", "several_terminal")


def assert_same_as_checks(*keys: str) -> None:
    """Some rows are found by each check of the pass."""
    survey = Survey(EVERYTHING)
    for key in keys:
        for pair in CHECKS[key].pairs:
            if pair.one_pass:
                ids = sorted(pair.get(None, None).values_list("pk", flat=True))
                assert ids
                assert survey.found(pair)[:2] == (len(ids), ids[:100])


def test_same_boxes_are_found_among_many_that_begin_at_the_same_place() -> None:
    chance, capture = Random(2), make_capture()
    steps = (0, 6e-7, 2e-6)
    boxes = [[10 + chance.choice(steps) for _ in range(4)] for _ in range(60)]
    for box in boxes:
        box[2] += 40
        box[3] += chance.choice((30, 40))
    rows = Detection.objects.bulk_create(Detection(source_image=capture, bbox=box) for box in boxes)

    same = {
        row.pk
        for pair in combinations(rows, 2)
        if all(abs(a - b) <= 1e-6 for a, b in zip(*(row.bbox for row in pair), strict=True))
        for row in pair
    }
    assert 0 < len(same) < len(rows)
    assert set(get_detections_with_same_box().values_list("pk", flat=True)) == same
