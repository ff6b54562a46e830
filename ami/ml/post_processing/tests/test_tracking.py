from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from pydantic import ValidationError

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_taxon,
    make_user,
)
from ami.main.models import Detection, Event, Identification, Occurrence, SourceImage
from ami.ml.post_processing.batches import EVENT, plan_batches
from ami.ml.post_processing.scopes import SCOPES
from ami.ml.post_processing.tests.nights import (
    A,
    B,
    C,
    detections,
    links,
    make_event,
    make_night,
    moved,
    occurrences,
    track,
    tracks,
)
from ami.ml.post_processing.tracking import TrackingConfig, TrackingTask

pytestmark = pytest.mark.django_db


def identify(occurrence: Occurrence, **fields: Any) -> Identification:
    return Identification.objects.create(
        **{"occurrence": occurrence, "user": make_user(), "taxon": make_taxon()} | fields
    )


def test_individuals_that_stay_are_joined() -> None:
    event = make_night([A, B], [moved(A, 5), B], [moved(A, 10)], [C])
    first, second, *_ = occurrences(event)
    task = track(event)
    assert tracks(event) == {(0, 2, 4), (1, 3), (5,)}
    assert links(event) == {(0, 2), (2, 4), (1, 3)}
    assert {first, second} < set(occurrences(event))
    assert task.counts["links_found"] == task.counts["links_changed"] == 3
    assert task.counts["occurrences_merged"] == 3
    assert task.counts["detections_checked"] == 6


def test_cost_of_a_link_is_stored() -> None:
    event = make_night([[0, 0, 100, 100]], [[0, 0, 100, 50]], width=300, height=400)
    track(event, geometry_cost_threshold=1.1)
    former, latter = detections(event)
    assert former.link_cost == pytest.approx(0.5 + 0.5 + 25 / 500)
    assert (latter.next_detection_id, latter.link_cost) == (None, None)


def test_vectors_count_where_both_have_one() -> None:
    event = make_night([A, B], [A, B], [A, B])
    vectors: list[list[float] | None] = [[1, 0], None, [0, 1], [1, 0], [0, 2], [3, 0]]
    for detection, vector in zip(detections(event), vectors, strict=True):
        detection.similarity_vector = vector
        detection.save()
    track(event)
    assert links(event) == {(1, 3), (3, 5), (2, 4)}


def test_cheapest_links_together_win_over_the_cheapest_one() -> None:
    event = make_night(
        [[0, 0, 100, 100], [30, 0, 130, 100]], [[10, 0, 110, 100], [35, 0, 135, 100]]
    )
    track(event)
    assert links(event) == {(0, 2), (1, 3)}


def test_capture_without_detections_parts_tracks_unless_the_gap_allows_it() -> None:
    event = make_night([A], [], [A])
    track(event)
    assert tracks(event) == {(0,), (1,)}
    track(event, max_gap_captures=2)
    assert tracks(event) == {(0, 1)}


def test_gap_in_time_parts_tracks() -> None:
    event = make_night([A], [A], [], [A])
    track(event, max_gap_captures=5, max_gap_seconds=60)
    assert tracks(event) == {(0, 1), (2,)}
    track(event, max_gap_captures=5, max_gap_seconds=120)
    assert tracks(event) == {(0, 1, 2)}


def test_stricter_run_parts_what_a_looser_one_joined() -> None:
    event = make_night([A], [moved(A, 30)], [moved(A, 32)])
    track(event, geometry_cost_threshold=2)
    assert tracks(event) == {(0, 1, 2)}
    (kept,) = occurrences(event)
    task = track(event, geometry_cost_threshold=0.2)
    assert tracks(event) == {(0,), (1, 2)}
    assert task.counts["occurrences_created"] == 1
    assert detections(event)[0].occurrence == kept
    assert detections(event)[0].next_detection is None
    parted = detections(event)[1].occurrence
    assert parted is not None
    assert (parted.event, parted.deployment, parted.project) == (
        event,
        event.deployment,
        event.project,
    )


def test_events_are_tracked_apart() -> None:
    trap = make_deployment()
    nights = [make_night([A], [A], event=make_event(deployment=trap)) for _ in range(3)]
    capture_set = make_capture_set(list(SourceImage.objects.order_by("pk")))
    (batch,) = plan_batches(SCOPES[0].detections([capture_set.pk]), size=5_000, unit=EVENT)
    assert batch.rows == 6
    TrackingTask(source_image_collection_id=capture_set.pk).run()
    assert all(tracks(night) == {(0, 1)} for night in nights)
    assert Occurrence.objects.count() == 3


@pytest.mark.parametrize("later_alone", [False, True])
def test_occurrence_of_two_nights_stays_in_its_own(later_alone: bool) -> None:
    trap = make_deployment()
    first, second = (make_night([A], [A], event=make_event(deployment=trap)) for _ in range(2))
    (both, _) = occurrences(first)
    Detection.objects.update(occurrence=both)
    for event in (second,) if later_alone else (first, second):
        track(event)
    assert {row.occurrence for row in detections(first)} == {both}
    (home,) = {row.occurrence for row in detections(second)}
    assert home
    assert (home.event, home == both) == (second, False)


def test_occurrence_that_names_no_night_may_be_kept() -> None:
    event = make_night([A], [A])
    (first, _) = occurrences(event)
    Occurrence.objects.update(event=None)
    track(event)
    assert {row.occurrence for row in detections(event)} == {first}


def test_detections_out_of_scope_are_left_alone() -> None:
    event = make_night([A], [A], [A])
    captures = list(SourceImage.objects.filter(event=event).order_by("pk"))
    TrackingTask(source_image_collection_id=make_capture_set(captures[:2]).pk).run()
    assert tracks(event) == {(0, 1), (2,)}


def test_keeper_is_the_earliest() -> None:
    event = make_night([A], [A], [A])
    rows = detections(event)
    late, early = occurrences(event)[0], occurrences(event)[2]
    Detection.objects.filter(pk=rows[0].pk).update(occurrence=early)
    Detection.objects.filter(pk=rows[2].pk).update(occurrence=late)
    track(event)
    assert occurrences(event) == [early]


def test_identified_occurrence_is_locked() -> None:
    event = make_night([A], [A], [A], [A])
    locked = occurrences(event)[1]
    identification = identify(locked)
    task = track(event)
    assert tracks(event) == {(0,), (1,), (2, 3)}
    assert links(event) == {(2, 3)}
    locked.refresh_from_db()
    assert locked.determination == identification.taxon
    assert task.counts["detections_locked"] == 1
    assert not task.skipped


def test_nothing_leaves_a_locked_occurrence() -> None:
    event = make_night([A], [A], [C])
    track(event)
    joined = occurrences(event)[0]
    identify(joined, taxon=None)
    track(event, geometry_cost_threshold=0.001, max_gap_seconds=1)
    assert tracks(event) == {(0, 1), (2,)}
    assert links(event) == {(0, 1)}


def test_withdrawn_identifications_move_to_the_keeper() -> None:
    event = make_night([A], [A])
    keeper, merged = occurrences(event)
    withdrawn = identify(merged, withdrawn=True)
    track(event)
    withdrawn.refresh_from_db()
    assert withdrawn.occurrence == keeper
    assert withdrawn.withdrawn
    assert occurrences(event) == [keeper]


def test_determinations_follow() -> None:
    event = make_night([A], [A])
    taxon = make_taxon()
    first, second = detections(event)
    make_classification(detection=first, score=0.5)
    make_classification(detection=second, taxon=taxon, score=0.9)
    (keeper, _) = occurrences(event)
    keeper.save()
    task = track(event)
    keeper.refresh_from_db()
    assert (keeper.determination, keeper.determination_score) == (taxon, 0.9)
    assert task.counts["occurrences_updated"] == 1


def test_detections_without_an_occurrence_are_given_one_where_they_are_linked() -> None:
    event = make_night([A, B], [A])
    Occurrence.objects.all().delete()
    track(event)
    homes = [detection.occurrence_id for detection in detections(event)]
    assert homes[0] == homes[2] is not None
    assert homes[1] is None


def test_second_run_writes_nothing() -> None:
    event = make_night([A, B, moved(A, 10)], [A, B, A], [], [moved(B, 20), A])
    for number, detection in enumerate(detections(event)):
        Detection.objects.filter(pk=detection.pk).update(similarity_vector=[0.1, number / 3, 0.7])
    identify(occurrences(event)[1], withdrawn=True)
    options: dict[str, Any] = {"max_gap_captures": 2, "cost_threshold": 1.5}
    track(event, **options)
    models = (Detection, Occurrence, Identification)
    state = [list(model.objects.order_by("pk").values()) for model in models]
    task = track(event, **options)
    assert state == [list(model.objects.order_by("pk").values()) for model in models]
    assert task.counts["links_changed"] == task.counts["occurrences_merged"] == 0
    assert task.counts["links_found"] > 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"bbox": None}, "no box"),
        ({"bbox": [1, 2, 3]}, "box is not four finite numbers"),
        ({"bbox": [1, 2, float("nan"), 4]}, "box is not four finite numbers"),
        ({"bbox": [1, 2, 1, 4]}, "box is empty or inverted"),
    ],
)
def test_broken_box_is_skipped(fault: dict[str, Any], reason: str) -> None:
    event = make_night([A, B], [A, B])
    broken = detections(event)[2]
    Detection.objects.filter(pk=broken.pk).update(**fault)
    task = track(event)
    assert tracks(event) == {(0,), (1, 3), (2,)}
    assert task.skipped == {reason: (1, [broken.pk])}
    assert task.counts["detections_skipped"] == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"timestamp": None}, "capture without a time"),
        ({"width": None}, "frame without width or height"),
        ({"height": 0}, "frame without width or height"),
    ],
)
def test_broken_capture_is_skipped(fault: dict[str, Any], reason: str) -> None:
    event = make_night([A], [A], [A])
    captures = SourceImage.objects.filter(event=event).order_by("pk")
    SourceImage.objects.filter(pk=captures[2].pk).update(**fault)
    task = track(event)
    assert tracks(event) == {(0, 1), (2,)}
    assert task.skipped[reason].rows == 1


def test_event_without_a_project_is_skipped() -> None:
    event = make_night([A], [A])
    Event.objects.update(project=None)
    task = track(event)
    assert tracks(event) == {(0,), (1,)}
    assert task.skipped["night without a project"].rows == 2


def test_capture_without_an_event_is_skipped() -> None:
    trap = make_deployment()
    captures = [
        make_capture(deployment=trap, timestamp=NIGHT + timedelta(minutes=m)) for m in (0, 1)
    ]
    for capture in captures:
        make_detection(source_image=capture)
    task = TrackingTask(source_image_collection_id=make_capture_set(captures).pk)
    task.run()
    assert task.skipped["capture without a night"].rows == 2


def test_skipped_box_keeps_its_occurrence_apart_from_boxes_of_its_capture() -> None:
    event = make_night([A], [A, B])
    first, second, broken = detections(event)
    Detection.objects.filter(pk=broken.pk).update(bbox=None, occurrence=first.occurrence)
    track(event)
    assert tracks(event) == {(0, 1), (2,)}
    assert detections(event)[0].occurrence == second.occurrence


def test_link_from_elsewhere_gives_way() -> None:
    event = make_night([A, B], [A])
    _, locked, last = detections(event)
    Detection.objects.filter(pk=locked.pk).update(next_detection=last, link_cost=0.1)
    assert locked.occurrence is not None
    identify(locked.occurrence)
    track(event)
    assert links(event) == {(0, 2)}


def test_links_can_be_swapped() -> None:
    event = make_night([A, B], [A, B])
    one, two, three, four = detections(event)
    Detection.objects.filter(pk=one.pk).update(next_detection=four)
    Detection.objects.filter(pk=two.pk).update(next_detection=three)
    track(event)
    connection.check_constraints()
    assert links(event) == {(0, 2), (1, 3)}


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"cost_threshold": 0}, "cost_threshold"),
        ({"geometry_cost_threshold": 3.1}, "geometry_cost_threshold"),
        ({"max_gap_captures": 0}, "max_gap_captures"),
        ({"max_gap_captures": 1.5}, "max_gap_captures"),
        ({"max_gap_captures": float("nan")}, "max_gap_captures"),
        ({"max_gap_seconds": float("inf")}, "max_gap_seconds"),
        ({"occurrence_id": 1}, "occurrence_id"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], option: str) -> None:
    with pytest.raises(ValidationError) as invalid:
        TrackingConfig(event_id=1, **options)
    assert [error["loc"] for error in invalid.value.errors()] == [(option,)]
