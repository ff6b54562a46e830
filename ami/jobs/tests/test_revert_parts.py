"""Runs of several parts with failing units are reverted exactly and applied again."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_deployment,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.jobs.journal import undo
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job
from ami.jobs.states import Outcome
from ami.jobs.tests.seeing import broker
from ami.jobs.tests.workers import Broker, assert_sound, queued
from ami.main.models import Classification, Detection, Occurrence, SourceImageCollection
from ami.ml.post_processing.again import apply
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import MergingTask, registered
from ami.testing.records import exactly, left, rows
from config.tests.tally import note

__all__ = ["broker"]
pytestmark = pytest.mark.django_db(transaction=True)
METHODS: list[type[BasePostProcessingTask]] = [SmallSizeFilterTask, MergingTask]
ODD = "odd.jpg"


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each method plan several parts, and fail on odd rows after it has written them."""
    monkeypatch.setattr(undo, "BATCH_SIZE", 3)
    for task_cls in METHODS:
        monkeypatch.setattr(task_cls, "batch_size", 2)
        monkeypatch.setattr(task_cls, "part_batches", 2)
        monkeypatch.setattr(task_cls, "process", failing(task_cls.process))
    with registered(MergingTask):
        yield


def failing(process: Any) -> Any:
    def process_or_fail(task: BasePostProcessingTask, batch: Batch) -> None:
        is_odd = batch.detections.filter(path=ODD).exists()
        process(task, batch)
        if is_odd:
            raise ValueError("Odd.")

    return process_or_fail


named = st.tuples(
    st.booleans(),
    st.none() | st.floats(0, 1),
    st.none() | st.lists(st.floats(), max_size=3),
    st.none() | st.integers(0, 2),
)
nights = st.lists(
    st.tuples(
        st.integers(0, 5),  # the occurrence; 0 is none
        st.sampled_from([None, [1.0, 1.0, 2.0, 2.0], [0.0, 0.0, 500.0, 500.0]]),
        st.lists(named, max_size=2),
        st.sampled_from(["", "", "", ODD]),
    ),
    min_size=4,
    max_size=14,
)


def make_night(night: list[Any]) -> SourceImageCollection:
    deployment = make_deployment()
    capture = make_capture(deployment=deployment)
    taxa = [make_taxon(identifiable=bool(n)) for n in range(3)]
    occurrences = [make_occurrence(deployment=deployment, determination=taxa[0]) for _ in range(5)]
    for number, bbox, names, path in night:
        occurrence = occurrences[number - 1] if number else None
        detection = make_detection(
            source_image=capture, bbox=bbox, occurrence=occurrence, path=path
        )
        for terminal, score, scores, taxon in names:
            Classification.objects.create(
                detection=detection,
                terminal=terminal,
                score=score,
                scores=scores,
                taxon=None if taxon is None else taxa[taxon],
            )
    return make_capture_set([capture])


def run(broker: Broker, task_cls: type[BasePostProcessingTask], scope: Any) -> Job:
    job = queued(task_cls, scope)
    broker.work(2)
    return assert_sound(job)


def revert(broker: Broker, job: Job) -> Job:
    reverting = request_revert(job)
    broker.work(2)
    reverting = assert_sound(reverting)
    assert reverting.outcome in {Outcome.SUCCEEDED, Outcome.PROBLEMS}, reverting.error
    return reverting


def effect(job: Job) -> list[Any]:
    """The rows that a Job created, changed and deleted; created rows are only counted."""
    changes = job.changes.values_list("kind", "model", "object_id")
    made = {(model, pk) for kind, model, pk in changes if kind == "created"}
    return sorted((kind, model, 0 if (model, pk) in made else pk) for kind, model, pk in changes)


def examples(number: int) -> settings:
    return settings(
        max_examples=number,
        derandomize=True,
        phases=[Phase.generate],  # each example leaves its rows behind
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def check(broker: Broker, task_cls: type[BasePostProcessingTask], night: list[Any]) -> None:
    scope = make_night(night)
    former = exactly(rows())
    job = run(broker, task_cls, scope)
    if not job.changes.exists():
        assert exactly(rows()) == former
        return
    assert left(revert(broker, job)) == []
    assert exactly(rows()) == former
    again = apply(job, user=None)
    broker.work(2)
    again = assert_sound(again)
    assert (effect(again), again.progress.figures) == (effect(job), job.progress.figures)
    assert left(revert(broker, again)) == []
    assert exactly(rows()) == former


@pytest.mark.parametrize("task_cls", METHODS, ids=lambda task_cls: task_cls.key)
@examples(8)
@given(nights)
def test_any_run_of_several_parts_is_reverted_and_applied_again(
    broker: Broker, task_cls: type[BasePostProcessingTask], night: list[Any]
) -> None:
    check(broker, task_cls, night)


@pytest.mark.chaos
@pytest.mark.parametrize("task_cls", METHODS, ids=lambda task_cls: task_cls.key)
@examples(100)
@given(nights)
def test_any_of_many_runs_is_reverted_and_applied_again(
    broker: Broker, task_cls: type[BasePostProcessingTask], night: list[Any]
) -> None:
    note("reverted a run of several parts and applied it again")
    check(broker, task_cls, night)


@examples(10)
@given(nights, st.integers(0, 13))
def test_what_a_person_edited_stands_and_all_else_is_as_it_was(
    broker: Broker, night: list[Any], place: int
) -> None:
    scope = make_night(night)
    ids = list(scope_detections(scope).values_list("pk", flat=True))
    former = {pk: told(pk) for pk in ids}
    job = run(broker, SmallSizeFilterTask, scope)
    written = Classification.objects.filter(job=job).order_by("pk")
    if not written:
        return
    edited = written[place % len(written)]
    Classification.objects.filter(pk=edited.pk).update(score=0.125)
    reverting = revert(broker, job)
    assert reverting.outcome == Outcome.PROBLEMS
    assert ("main.classification", edited.pk, "changed since") in left(reverting)
    edited.refresh_from_db()
    assert edited.score == 0.125
    beside = companions(edited.detection)
    assert {pk: told(pk) for pk in ids if pk not in beside} == {
        pk: value for pk, value in former.items() if pk not in beside
    }


def scope_detections(scope: SourceImageCollection) -> Any:
    return Detection.objects.filter(source_image__in=scope.images.all()).order_by("pk")


def companions(detection: Detection) -> set[int]:
    rows = Detection.objects.filter(occurrence=detection.occurrence_id)
    return set(rows.values_list("pk", flat=True)) if detection.occurrence_id else {detection.pk}


def told(pk: int) -> str:
    """The classifications of a detection, and the determination of its occurrence."""
    hide = {"updated_at"}
    tables = (
        Detection.objects.filter(pk=pk),
        Classification.objects.filter(detection=pk).order_by("pk"),
        Occurrence.objects.filter(detections=pk),
    )
    return repr(
        [[{k: v for k, v in r.items() if k not in hide} for r in t.values()] for t in tables]
    )
