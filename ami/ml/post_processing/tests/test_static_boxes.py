import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_project,
)
from ami.jobs.models import Job
from ami.main.models import Classification, Deployment, Detection, SourceImageCollection
from ami.ml.post_processing.static_boxes import StaticBoxesConfig, StaticBoxesTask
from ami.ml.post_processing.static_boxes.places import Found, Place, find_places
from ami.ml.post_processing.tests.clicks import SETS, post
from ami.ml.post_processing.tests.methods import told
from ami.ml.post_processing.tests.nights import make_event
from ami.ml.post_processing.validation import ConfigValidationErrors, parse_config

pytestmark = pytest.mark.django_db

DIRT, SHADOW = (300, 300, 360, 340), (700, 100, 780, 240)


def make_captures(trap: Deployment, *, nights: int, captures: int) -> SourceImageCollection:
    """A capture set with so many captures on each night."""
    made = []
    for night in range(nights):
        event = make_event(deployment=trap)
        for number in range(captures):
            time = NIGHT + timedelta(days=night, minutes=number)
            made.append(make_capture(deployment=trap, event=event, timestamp=time))
    return make_capture_set(made)


def put(
    captures: SourceImageCollection, box: Sequence[float], *, jitter: float = 0, seed: int = 0
) -> list[Detection]:
    """A detection on each capture, each corner moved by at most `jitter` pixels."""
    chance = np.random.default_rng(1)
    made = []
    for capture in captures.images.order_by("pk"):
        corners = np.array(box) + chance.uniform(-jitter, jitter, 4)
        occurrence = make_occurrence(deployment=capture.deployment, event=capture.event)
        detection = make_detection(
            source_image=capture, occurrence=occurrence, bbox=corners.tolist()
        )
        make_classification(detection=detection)
        occurrence.save()
        made.append(detection)
    return made


def scatter(captures: SourceImageCollection, number: int) -> None:
    """So many boxes of moths anywhere on each capture."""
    chance = np.random.default_rng(1)
    Detection.objects.bulk_create(
        Detection(source_image=capture, bbox=[x, y, x + side, y + side])
        for capture in captures.images.order_by("pk")
        for x, y, side in chance.uniform((0, 0, 30), (800, 800, 150), (number, 3)).tolist()
    )


def found_in(captures: SourceImageCollection, **limits: Any) -> list[Found]:
    rows = Detection.objects.filter(source_image__in=captures.images.all())
    return find_places(rows, **{"iou": 0.9, "min_captures": 10, "min_nights": 2} | limits)


def run(captures: SourceImageCollection, *places: Place, **options: Any) -> dict[str, int]:
    task = StaticBoxesTask(
        source_image_collection_id=captures.pk, places=[str(place) for place in places], **options
    )
    task.run()
    return told(task)


def test_places_are_found_among_moving_boxes() -> None:
    trap = make_deployment(name="Trap")
    captures = make_captures(trap, nights=3, captures=8)
    dirt = put(captures, DIRT, jitter=0.5)
    put(captures, SHADOW, jitter=1.5, seed=2)
    scatter(captures, 5)
    found = {one.place: one for one in found_in(captures)}
    assert len(found) == 2
    near = min(found, key=lambda place: abs(place.x1 - DIRT[0]))
    assert np.abs(np.array(near[1:]) - DIRT).max() <= 1
    one = found[near]
    assert (one.captures, one.nights, str(one)) == (24, 3, "Trap: 24 captures on 3 nights")
    assert one.example in {detection.pk for detection in dirt}


def test_limits_hide_places() -> None:
    trap = make_deployment()
    put(make_captures(trap, nights=2, captures=5), DIRT)
    put(make_captures(trap, nights=1, captures=12), SHADOW)
    everything = make_capture_set([d.source_image for d in Detection.objects.all()])
    assert [one.captures for one in found_in(everything)] == [10]
    assert [one.captures for one in found_in(everything, min_nights=1)] == [12, 10]
    assert found_in(everything, min_captures=11) == []


def test_deployments_are_apart() -> None:
    project = make_project()
    traps = [make_deployment(project=project) for _ in range(2)]
    sets = [make_captures(trap, nights=2, captures=5) for trap in traps]
    for captures in sets:
        put(captures, DIRT)
    everything = make_capture_set([d.source_image for d in Detection.objects.all()])
    found = found_in(everything)
    assert [one.captures for one in found] == [10, 10]
    assert len({one.place.deployment_id for one in found}) == 2
    first = found[0].place
    assert run(everything, first)["detections_flagged"] == 10
    flagged = Classification.objects.filter(algorithm__key="static_boxes")
    assert {row.detection.source_image.deployment_id for row in flagged} == {first.deployment_id}


def test_number_of_queries_does_not_depend_on_the_boxes(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in (0, 20):
        captures = make_captures(make_deployment(), nights=2, captures=6)
        put(captures, DIRT)
        scatter(captures, number)
        rows = Detection.objects.filter(source_image__in=captures.images.all())
        with django_assert_num_queries(3):
            assert len(find_places(rows, iou=0.9, min_captures=10, min_nights=2)) == 1


def test_nothing_is_found_without_sound_boxes() -> None:
    captures = make_captures(make_deployment(), nights=1, captures=2)
    for capture in captures.images.all():
        for box in (None, [1, 2, 3], [5, 5, 1, 1]):
            make_detection(source_image=capture, bbox=box)
    assert found_in(captures, min_captures=2, min_nights=1) == []


def test_ticked_places_are_flagged_and_others_are_not() -> None:
    captures = make_captures(make_deployment(), nights=2, captures=5)
    dirt = put(captures, DIRT)
    put(captures, SHADOW)
    place = next(one.place for one in found_in(captures) if one.place.x1 == DIRT[0])
    assert run(captures, place) == {
        "detections_checked": 20,
        "detections_flagged": 10,
        "occurrences_updated": 10,
    }
    flags = Classification.objects.filter(algorithm__key="static_boxes", terminal=True)
    assert {row.detection_id for row in flags} == {one.pk for one in dirt}
    assert {str(row.taxon) for row in flags} == {"Not identifiable"}
    assert all(row.metadata == {"iou": 0.9} for row in flags)
    for one in dirt:
        assert one.occurrence
        one.occurrence.refresh_from_db()
        assert str(one.occurrence.determination) == "Not identifiable"
    assert run(captures, place) == {"detections_checked": 20}


def test_overlap_at_the_limit_is_enough() -> None:
    captures = make_captures(make_deployment(), nights=1, captures=1)
    put(captures, (0, 0, 100, 100))
    place = Place(captures.images.get().deployment_id or 0, 0, 0, 100, 90)
    assert "detections_flagged" not in run(captures, place, iou=0.91)
    assert run(captures, place, iou=0.9)["detections_flagged"] == 1


def test_without_a_tick_there_is_nothing_to_do() -> None:
    captures = make_captures(make_deployment(), nights=2, captures=5)
    put(captures, DIRT)
    task = StaticBoxesTask(source_image_collection_id=captures.pk)
    assert task.nothing_to_do() == "No place was ticked."


def test_without_a_detection_of_the_deployments_there_is_nothing_to_do() -> None:
    captures = make_captures(make_deployment(), nights=2, captures=5)
    put(captures, DIRT)

    def told(trap: Deployment, *others: Deployment) -> str | None:
        places = [str(Place(one.pk, *DIRT)) for one in (trap, *others)]
        return StaticBoxesTask(
            source_image_collection_id=captures.pk, places=places
        ).nothing_to_do()

    trap, elsewhere = captures.images.all()[0].deployment, make_deployment()
    assert told(elsewhere) == "No detection in scope is from a deployment of a ticked place."
    assert trap
    assert told(elsewhere, trap) is None


@pytest.mark.parametrize(
    "written",
    ["", "7", "7:1,2,3", "7:5,5,1,1", "7:1,2,3,4,5", "7:-1,2,3,4", "x:1,2,3,4", "7:1,1,1,5"],
)
def test_malformed_places_are_refused(written: str) -> None:
    with pytest.raises(ConfigValidationErrors, match="must be a deployment's id and a box"):
        parse_config(StaticBoxesConfig, {"source_image_collection_id": 1, "places": [written]})


def test_places_are_stored_once_and_in_order() -> None:
    written = ["10:1,2,3,4", "7:1,2,3,4", "10:1,2,3,4"]
    config = StaticBoxesConfig(source_image_collection_id=1, places=written)
    assert config.places == ["7:1,2,3,4", "10:1,2,3,4"]


@pytest.fixture
def dirty(admin_client: Client) -> SourceImageCollection:
    captures = make_captures(make_deployment(name="Trap"), nights=2, captures=6)
    put(captures, DIRT)
    return captures


def page_of(client: Client, captures: SourceImageCollection, **fields: Any) -> str:
    answer = post(client, [captures.pk], url=SETS, action="run_static_boxes", **fields)
    assert answer.status_code == 200
    return str(answer.text)


def test_page_shows_a_tile_for_each_place_and_none_is_ticked(
    admin_client: Client, dirty: SourceImageCollection
) -> None:
    assert "No box stays in place" in page_of(admin_client, dirty)  # on 20 captures
    sent = {"launch_key": uuid4(), "_counts": "1", "min_nights": "2", "iou": "0.9"}
    text = page_of(admin_client, dirty, **sent, min_captures="10")
    (tile,) = re.findall(r'<input type="checkbox" name="places"[^>]*>', text)
    assert "checked" not in tile
    assert "Trap: 12 captures on 2 nights" in text
    assert "/picture/" in text
    value = re.findall(r'value="([^"]+)"', tile)[0]
    # A tick stays, even if the place is not found any more; odd limits are the defaults.
    for limits in ({"min_captures": "10"}, {"min_captures": "many"}):
        assert f'value="{value}" checked' in page_of(
            admin_client, dirty, **sent, **limits, places=value
        )


def test_ticks_are_the_options_of_the_run(
    admin_client: Client, dirty: SourceImageCollection
) -> None:
    place = found_in(dirty)[0].place
    sent = {"launch_key": uuid4(), "min_captures": "10", "min_nights": "2", "iou": "0.9"}
    answer = post(
        admin_client, [dirty.pk], url=SETS, action="run_static_boxes", **sent, places=[str(place)]
    )
    assert answer.status_code == 302
    assert Job.objects.get().params["config"]["places"] == [str(place)]


def test_odd_place_is_refused_on_the_page(
    admin_client: Client, dirty: SourceImageCollection
) -> None:
    sent = {"launch_key": uuid4(), "min_captures": "10", "min_nights": "2", "iou": "0.9"}
    text = page_of(admin_client, dirty, **sent, places=["7:nowhere"])
    assert "must be a deployment&#x27;s id and a box in whole pixels" in text
    assert not Job.objects.exists()
