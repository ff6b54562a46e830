import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_deployment,
    make_detection,
)
from ami.main.models import Detection, Event, Occurrence, SourceImageCollection
from ami.ml.post_processing.batches import EVENT, OCCURRENCE, Batch, Unit, plan_batches
from ami.ml.post_processing.scopes import SCOPES
from ami.ml.post_processing.tests.methods import make_scope

pytestmark = pytest.mark.django_db
SETS, OCCURRENCES = SCOPES[:2]


def plan(
    capture_set: SourceImageCollection, size: int, *, unit: Unit = OCCURRENCE
) -> list[list[Detection]]:
    scope = SETS.detections([capture_set.pk])
    planned = plan_batches(scope, size=size, unit=unit)
    batches = [list(Batch(scope, unit, *batch.key).detections) for batch in planned]
    assert [batch.rows for batch in planned] == [len(batch) for batch in batches]
    return batches


def test_occurrences_are_kept_whole() -> None:
    batches = plan(make_scope(1, 1, 3, 1, 2), size=2)
    assert [len(batch) for batch in batches] == [2, 3, 1, 2]


def test_larger_occurrence_is_a_batch_of_its_own() -> None:
    assert [len(batch) for batch in plan(make_scope(7, 7), size=2)] == [7, 7]


def test_loose_detections_come_apart_from_occurrences() -> None:
    batches = plan(make_scope(2, 2, loose=5), size=4)
    assert [len(batch) for batch in batches] == [4, 4, 1]
    assert [{detection.occurrence_id is None for detection in batch} for batch in batches] == [
        {False},
        {True},
        {True},
    ]


def test_events_are_kept_whole_where_they_are_the_unit() -> None:
    nights = [Event.objects.create(group_by=f"2022-06-{day}") for day in (20, 21, 22)]
    trap = make_deployment()
    captures = [make_capture(event=n, deployment=trap) for n in [*nights, nights[0], None]]
    for capture in captures:
        make_detection(source_image=capture)
    batches = plan(make_capture_set(captures), size=3, unit=EVENT)
    assert [sorted((d.source_image.event_id or 0) for d in batch) for batch in batches] == [
        [nights[0].pk, nights[0].pk],
        [nights[1].pk, nights[2].pk],
        [0],
    ]


def test_nothing_in_scope_makes_no_batch() -> None:
    assert plan(make_capture_set([make_capture()]), size=2) == []


def test_part_of_an_occurrence_outside_of_the_scope_stays_outside() -> None:
    capture_set = make_scope(2)
    occurrence = Occurrence.objects.get()
    elsewhere = make_detection(occurrence=occurrence)
    ((*batch,),) = plan(capture_set, size=10)
    assert elsewhere not in batch
    assert len(batch) == 2


def test_single_occurrence_is_one_batch() -> None:
    make_scope(3, 2)
    first = Occurrence.objects.order_by("pk")[0]
    (batch,) = plan_batches(scope := OCCURRENCES.detections([first.pk]), size=1)
    assert set(Batch(scope, OCCURRENCE, *batch.key).detections) == set(first.detections.all())


def test_plan_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    capture_set = make_scope(*[1] * 20)
    with django_assert_num_queries(1):
        plan_batches(SETS.detections([capture_set.pk]), size=2)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    sizes=st.lists(st.integers(1, 6), max_size=8),
    loose=st.integers(0, 6),
    size=st.integers(1, 7),
)
def test_batches_hold_every_detection_once(sizes: list[int], loose: int, size: int) -> None:
    capture_set = make_scope(*sizes, loose=loose)
    batches = plan(capture_set, size)
    planned = [detection.pk for batch in batches for detection in batch]
    assert sorted(planned) == sorted(SETS.detections([capture_set.pk]).values_list("pk", flat=True))
    homes = [{d.occurrence_id for d in batch} - {None} for batch in batches]
    assert sum(map(len, homes)) == len(sizes)
    assert all(len(batch) < size + max([*sizes, 1]) for batch in batches)
