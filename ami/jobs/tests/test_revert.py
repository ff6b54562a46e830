"""Runs of methods are reverted exactly."""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.jobs.engine import runner
from ami.jobs.journal import undo
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import JobChange, JobState
from ami.jobs.tests.job_types import make_job
from ami.jobs.tests.reverting import (
    SupersedingTask,
    ended,
    make_night,
    make_tracks,
    merge,
    methods,
    net_rows,
    revert,
    run,
)
from ami.main.models import Classification, Detection, Identification, Occurrence
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import CountingTask, make_scope, registered
from ami.review.models import SampleItem
from ami.review.tests.samples import sample_of
from ami.testing.records import exactly, left, rows

__all__ = ["methods"]
pytestmark = pytest.mark.django_db


class MovingTask(CountingTask):
    """Moves detections to a capture of another project, and deletes the terminal results."""

    key = "moving"
    name = "Moving"

    def process(self, batch: Batch) -> None:
        detections = Detection.objects.filter(pk__in=batch.detections.values_list("pk"))
        Classification.objects.filter(detection__in=detections, terminal=True).delete()
        detections.update(source_image=make_capture())


def test_projects_of_moved_and_of_deleted_rows_are_put_back_exactly() -> None:
    capture_set, _ = make_night()
    for detection in Detection.objects.all():
        make_classification(detection=detection, terminal=False)
    former = rows()
    with registered(MovingTask):
        job = run(capture_set, MovingTask)
        assert {row.project_id for row in Detection.objects.all()}.isdisjoint(
            row["project_id"] for row in former["Detection"]
        )
        revert(job)
    assert rows() == former
    assert {row["project_id"] for row in former["Classification"]} == {capture_set.project_id}


def test_run_of_the_filter_is_reverted_exactly() -> None:
    capture_set, _ = make_night()
    former = rows()
    job = run(capture_set)
    assert rows() != former
    reverting = revert(job)
    assert rows() == former
    assert reverting.progress.figures == {
        "Former values restored": 3,
        "Created rows deleted": 2,
        "Deleted rows inserted": 0,
        "Determinations recomputed": 0,
        "Rows left alone": 0,
    }
    assert left(reverting) == []


def test_revert_is_reverted() -> None:
    capture_set, _ = make_night()
    former = rows()
    job = run(capture_set)
    flagged = rows()
    again = revert(reverting := revert(job))
    assert rows() == flagged
    revert(again)
    assert rows() == former
    assert reverting.reverts == job


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("methods")
def test_merge_is_reverted_exactly_and_applied_again() -> None:
    capture_set = make_tracks()
    former = exactly(rows())
    job = merge(capture_set)
    kinds = set(job.changes.values_list("kind", "model"))
    assert kinds >= {
        ("created", "main.occurrence"),
        ("deleted", "main.occurrence"),
        ("changed", "main.detection"),
        ("changed", "main.identification"),
        ("created", "main.classification"),
        ("changed", "main.classification"),
        ("deleted", "main.classification"),
    }
    merged = exactly(rows())
    reverting = revert(job)
    assert exactly(rows()) == former
    assert left(reverting) == []
    revert(reverting)
    assert exactly(rows()) == merged


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("methods")
def test_revert_that_is_stopped_between_two_batches_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capture_set = make_tracks()
    former = exactly(rows())
    job = merge(capture_set)
    batches = job.changes.values("batch").distinct().count()
    assert batches >= 2
    monkeypatch.setattr(undo, "BATCH_SIZE", 1)
    reverting = request_revert(job)

    def stop(*args: Any, **kwargs: Any) -> Any:
        if reverting.parts.get().cursor:
            raise RuntimeError("The worker is killed.")
        return undo.undo(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("ami.jobs.journal.revert.undo", stop)
        runner.run(reverting.pk)
    reverting.refresh_from_db()
    assert reverting.status == JobState.FAILURE
    assert 0 < reverting.progress.fraction < 1
    assert exactly(rows()) != former

    assert request_revert(job).pk == reverting.pk
    runner.run(reverting.pk)
    ended(reverting)
    assert exactly(rows()) == former
    assert reverting.progress.figures["Rows left alone"] == 0
    assert sum(reverting.progress.figures.values()) == net_rows(job)


@pytest.mark.django_db(transaction=True)
def test_changes_of_several_batches_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method with its own `run` changes the same rows again in other transactions."""

    class Again(SupersedingTask):
        key = "again"

        def run(self) -> None:
            for _ in range(2):
                with transaction.atomic():
                    self.prepare()
                    self.supersede(self.scope)

    capture_set, _ = make_night()
    former = rows()
    with registered(Again):
        job = run(capture_set, Again)
    assert job.changes.values("batch").distinct().count() == 2
    monkeypatch.setattr(undo, "BATCH_SIZE", 1)
    reverting = revert(job)
    assert rows() == former
    assert left(reverting) == []


def test_first_of_several_changes_of_a_row_is_what_is_put_back() -> None:
    """One of two changes of a column has the value before the run, the other the present one."""

    class RenamingTask(CountingTask):
        key = "renaming"

        def process(self, batch: Batch) -> None:
            batch.detections.update(path="first.jpg")
            batch.detections.update(path="second.jpg")

    capture_set, _ = make_night()
    former = rows()
    with registered(RenamingTask):
        job = run(capture_set, RenamingTask)
    assert job.changes.count() == 4
    reverting = revert(job)
    assert left(reverting) == []
    assert rows() == former


@pytest.mark.django_db(transaction=True)
def test_method_with_a_run_of_its_own_is_journaled_and_reverted() -> None:
    class Free(CountingTask):
        key = "free"

        def run(self) -> None:
            for detection in Detection.objects.all():
                detection.associate_new_occurrence()
            Detection.objects.update(path="new.jpg")

    capture_set = make_scope(1, loose=2)
    former = rows()
    with registered(Free):
        job = run(capture_set, Free)
    assert job.changes.values("batch").distinct().count() == 3
    make_occurrence().delete()
    assert job.changes.count() == JobChange.objects.count()
    revert(job)
    assert rows() == former


def test_rolled_back_batch_leaves_no_journal() -> None:
    capture_set, _ = make_night()
    job = make_job()

    class Crashing(SmallSizeFilterTask):
        key = "crashing"

        def process(self, batch: Batch) -> None:
            super().process(batch)
            raise RuntimeError("Trouble.")

    Crashing(job=job, source_image_collection_id=capture_set.pk, size_threshold=0.5).run()
    assert job.progress.skipped
    assert not job.changes.exists()
    make_classification(detection=make_detection())
    assert not JobChange.objects.exists()


@pytest.mark.usefixtures("untimed")
def test_queries_do_not_grow_with_the_rows(django_assert_max_num_queries: Any) -> None:
    capture_set = make_scope(*[1] * 60)
    Detection.objects.update(bbox=[1, 1, 3, 3])
    for detection in Detection.objects.all():
        make_classification(detection=detection)
    job = run(capture_set)
    reverting = request_revert(job)
    with django_assert_max_num_queries(100):
        runner.run(reverting.pk)
    assert ended(reverting).progress.figures["Created rows deleted"] == 60


@settings(
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),  # the occurrence, or none
            st.sampled_from([None, [1.0, 1.0, 2.0, 2.0], [0.0, 0.0, 500.0, 500.0]]),
            st.lists(
                st.tuples(
                    st.booleans(),
                    st.none() | st.floats(0, 1),
                    st.none() | st.lists(st.floats(), max_size=3),
                    st.none() | st.integers(0, 2),
                ),
                max_size=3,
            ),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_run_of_the_filter_is_reverted_exactly(night: list[Any]) -> None:
    with transaction.atomic():
        capture = make_capture()
        taxa = [make_taxon(identifiable=bool(n)) for n in range(3)]
        occurrences = [None, *(make_occurrence(determination=taxon) for taxon in taxa)]
        for occurrence, bbox, named in night:
            detection = make_detection(
                source_image=capture, bbox=bbox, occurrence=occurrences[occurrence]
            )
            for terminal, score, vector, taxon in named:
                Classification.objects.create(
                    detection=detection,
                    terminal=terminal,
                    score=score,
                    scores=vector,
                    taxon=None if taxon is None else taxa[taxon],
                )
        former = exactly(rows())
        job = run(make_capture_set([capture]))
        changes = job.changes.count()
        if changes:
            reverting = revert(job)
            assert left(reverting) == []
        assert exactly(rows()) == former
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("methods")
def test_samples_and_agreement_do_not_hinder_a_revert() -> None:
    capture_set = make_tracks()
    before = exactly(rows())
    job = merge(capture_set)
    item = sample_of(Occurrence.objects.latest("pk"))
    made = job.changes.filter(kind="created", model="main.classification").latest("pk").object_id
    said = Identification.objects.create(occurrence=make_occurrence(), taxon=make_taxon())
    Identification.objects.filter(pk=said.pk).update(agreed_with_prediction=made)
    assert left(revert(job)) == []
    said.refresh_from_db()
    assert (said.agreed_with_prediction_id, said.is_independent) == (made, False)
    assert item.occurrence_id == SampleItem.objects.get().occurrence_id
    said.occurrence.delete()
    assert exactly(rows()) == before
