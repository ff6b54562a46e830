from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_deployment,
    make_detection,
    make_occurrence,
)
from ami.base.tests.plans import explain
from ami.main.models import (
    Classification,
    Detection,
    Event,
    Occurrence,
    SourceImage,
    SourceImageCollection,
)
from ami.ml.post_processing.batches import EVENT, OCCURRENCE, Batch, Unit, plan_batches
from ami.ml.post_processing.scopes import SCOPES, Chosen
from ami.ml.post_processing.tests.methods import make_scope
from ami.ml.post_processing.tests.nights import make_event

pytestmark = pytest.mark.django_db
SETS, OCCURRENCES = SCOPES[:2]
BATCH = 200


def plan(
    capture_set: SourceImageCollection, size: int, *, unit: Unit = OCCURRENCE
) -> list[list[Detection]]:
    chosen = Chosen(SETS, [capture_set.pk], foreign=[])
    planned = plan_batches(SETS.detections(chosen.ids), size=size, unit=unit)
    batches = [list(Batch(chosen, unit, *batch.key).detections) for batch in planned]
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
    chosen = Chosen(OCCURRENCES, [first.pk], foreign=[])
    (batch,) = plan_batches(OCCURRENCES.detections(chosen.ids), size=1)
    assert set(Batch(chosen, OCCURRENCE, *batch.key).detections) == set(first.detections.all())


def rows_read(rows: QuerySet[Any]) -> int:
    """The number of table rows that the query reads."""
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        statement = cursor.mogrify(sql, params).decode()
    return sum(
        int(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
        for node in explain(statement, option="ANALYZE")
        if "Relation Name" in node
    )


@pytest.mark.parametrize("is_analyzed", [False, True])
@pytest.mark.parametrize(("unit", "loose"), [(OCCURRENCE, 0), (OCCURRENCE, 1), (EVENT, 0)])
def test_batch_does_not_read_the_rest_of_its_capture_set(
    unit: Unit, loose: int, *, is_analyzed: bool
) -> None:
    trap = make_deployment()
    nights = [None] * 20 * BATCH + [make_event()] * BATCH
    captures = SourceImage.objects.bulk_create(
        SourceImage(deployment=trap, project=trap.project, path=f"{number}", event=night)
        for number, night in enumerate(nights)
    )
    occurrence = None if loose else make_occurrence(deployment=trap)
    detections = Detection.objects.bulk_create(
        Detection(source_image=capture, occurrence=occurrence) for capture in captures[-BATCH:]
    )
    Classification.objects.bulk_create(Classification(detection=each) for each in detections)
    capture_set = make_capture_set(captures)
    if is_analyzed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    chosen = Chosen(SETS, [capture_set.pk], foreign=[])
    (planned,) = plan_batches(SETS.detections(chosen.ids), size=BATCH, unit=unit)
    batch = Batch(chosen, unit, *planned.key)
    assert len(batch.detections) == BATCH
    assert rows_read(batch.detections) < 10 * BATCH
    assert rows_read(Classification.objects.filter(detection__in=batch.detections)) < 10 * BATCH


def test_plan_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    capture_set = make_scope(*[1] * 20)
    with django_assert_num_queries(1):
        plan_batches(SETS.detections([capture_set.pk]), size=2)


@settings(
    max_examples=30,
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
