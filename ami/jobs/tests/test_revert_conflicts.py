"""Rows that a revert leaves alone and reports."""

import pytest

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_classification,
    make_detection,
    make_taxon,
    make_user,
)
from ami.jobs.engine import runner
from ami.jobs.journal import undo
from ami.jobs.journal.revert import RevertRefusedError, refusal, request_revert
from ami.jobs.tests.reverting import (
    SupersedingTask,
    ended,
    make_night,
    make_tracks,
    merge,
    methods,
    revert,
    run,
)
from ami.main.checks.split_occurrence import get_split_occurrences
from ami.main.models import (
    Classification,
    Detection,
    Event,
    Identification,
    Occurrence,
    SourceImage,
)
from ami.ml.post_processing.tests.methods import CountingTask, make_scope, registered
from ami.testing.records import left, rows

__all__ = ["methods"]
pytestmark = pytest.mark.django_db


def test_identification_stands_and_is_reported() -> None:
    capture_set, occurrence = make_night()
    former = rows()
    job = run(capture_set)
    person = make_taxon()
    identification = Identification.objects.create(
        occurrence=occurrence, taxon=person, user=make_user()
    )
    reverting = revert(job)
    assert rows()["Classification"] == former["Classification"]
    assert list(Identification.objects.all()) == [identification]
    occurrence.refresh_from_db()
    assert (occurrence.determination, occurrence.determination_score) == (person, 1.0)
    assert left(reverting) == [("main.occurrence", occurrence.pk, "changed since")]


@pytest.mark.usefixtures("methods")
def test_merge_that_a_person_has_identified_is_left_alone_whole() -> None:
    capture_set = make_tracks()
    job = merge(capture_set)
    keeper = Occurrence.objects.filter(detections__isnull=False).earliest("pk")
    Identification.objects.create(occurrence=keeper, taxon=make_taxon(), user=make_user())
    before = rows()
    reverting = revert(job)
    assert ("main.occurrence", keeper.pk, "in use since") in left(reverting)
    kept = {row["id"] for row in before["Detection"] if row["occurrence_id"] == keeper.pk}
    for name, key in [("Detection", "id"), ("Classification", "detection_id")]:
        assert repr([row for row in rows()[name] if row[key] in kept]) == repr(
            [row for row in before[name] if row[key] in kept]
        )
    assert not Detection.objects.exclude(pk__in=kept).filter(
        occurrence__in=job.changes.filter(kind="created", model="main.occurrence").values(
            "object_id"
        )
    )


@pytest.mark.usefixtures("methods")
def test_run_that_a_newer_one_has_built_on_is_left_alone() -> None:
    capture_set, _ = make_night()
    job = run(capture_set)
    newer = run(capture_set, SupersedingTask)
    before = rows()
    reverting = revert(job)
    assert rows() == before
    assert {reason for _, _, reason in left(reverting)} == {
        "changed since",
        "its occurrence was left alone",
    }
    assert reverting.progress.figures["Rows left alone"] == job.changes.count()
    assert reverting.logs.filter(level="WARNING").exists()

    revert(newer)
    again = run(capture_set)  # finds nothing: its flags stand
    assert not again.changes.exists()


@pytest.mark.django_db(transaction=True)
def test_occurrence_that_something_else_has_touched_follows_the_rule() -> None:
    """The run did not change its determination; a person's deletion then did."""
    capture_set, occurrence = make_night(small=False)
    first, second = Detection.objects.order_by("pk")
    Detection.objects.filter(pk=first.pk).update(bbox=[1, 1, 3, 3])
    job = run(capture_set)
    assert not job.changes.filter(model="main.occurrence").exists()
    Classification.objects.filter(detection=second).delete()
    occurrence.save()
    assert occurrence.determination.name == "Not identifiable"  # type: ignore[union-attr]

    reverting = revert(job)
    occurrence.refresh_from_db()
    assert occurrence.determination == Classification.objects.get(detection=first).taxon
    assert left(reverting) == []


def test_row_deleted_since_is_left_alone_and_its_occurrence_with_it() -> None:
    capture_set, _ = make_night()
    job = run(capture_set)
    flag = Classification.objects.filter(job=job).earliest("pk")
    Classification.objects.filter(pk=flag.pk).delete()
    before = rows()["Classification"]
    reverting = revert(job)
    assert rows()["Classification"] == before
    assert ("main.classification", flag.pk, "deleted since") in left(reverting)


def test_row_that_another_one_refers_to_since_is_left_alone() -> None:
    capture_set, _ = make_night()
    job = run(capture_set)
    flag = Classification.objects.filter(job=job).earliest("pk")
    make_classification(detection=flag.detection, applied_to=flag, terminal=False)
    before = rows()["Classification"]
    reverting = revert(job)
    assert rows()["Classification"] == before
    assert ("main.classification", flag.pk, "in use since") in left(reverting)


@pytest.mark.usefixtures("methods")
def test_row_whose_reference_is_gone_is_left_alone() -> None:
    capture_set = make_tracks()
    deployment = SourceImage.objects.get().deployment
    event = Event.objects.create(deployment=deployment, group_by="2022-06-20", start=NIGHT)
    Occurrence.objects.update(event=event)
    job = merge(capture_set)
    Event.objects.all().delete()
    before = rows()
    reverting = revert(job)
    assert repr(rows()["Detection"][:4]) == repr(before["Detection"][:4])
    assert "refers to a row that is gone" in {reason for *_, reason in left(reverting)}


def test_job_is_reverted_once() -> None:
    capture_set, _ = make_night()
    job = run(capture_set)
    first = request_revert(job)
    with pytest.raises(RevertRefusedError, match=f"is being reverted by Job {first.pk}"):
        request_revert(job)
    runner.run(first.pk)
    with pytest.raises(RevertRefusedError, match=f"was reverted by Job {first.pk}"):
        request_revert(job)
    assert not job.resume()


def test_canceled_revert_goes_on_when_asked_for_again() -> None:
    capture_set, _ = make_night()
    former = rows()
    job = run(capture_set)
    first = request_revert(job)
    assert first.cancel()
    assert request_revert(job).pk == first.pk
    runner.run(first.pk)
    ended(first)
    assert rows() == former


def test_revert_of_a_deleted_job_fails_with_a_sentence() -> None:
    capture_set, _ = make_night()
    job = run(capture_set)
    reverting = request_revert(job)
    job.delete()
    runner.run(reverting.pk)
    reverting.refresh_from_db()
    assert reverting.error == "The Job to revert and its journal no longer exist."


@pytest.mark.django_db(transaction=True)
def test_job_whose_revert_was_reverted_may_be_reverted_again() -> None:
    capture_set, _ = make_night()
    former = rows()
    job = run(capture_set)
    first = revert(job)
    revert(first)
    assert refusal(job) is None
    second = revert(job)
    assert rows() == former
    assert refusal(job) == f"Job {job.pk} was reverted by Job {second.pk}."


@pytest.mark.django_db(transaction=True)
def test_row_left_alone_in_one_portion_is_left_in_those_that_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first value of the run is there again, but something else has written it."""

    class Twice(CountingTask):
        key = "twice"

        def run(self) -> None:
            Detection.objects.update(path="first.jpg")
            Detection.objects.update(path="second.jpg")

    capture_set = make_scope(2)
    with registered(Twice):
        job = run(capture_set, Twice)
    edited, other = Detection.objects.order_by("-pk")
    Detection.objects.filter(pk=edited.pk).update(path="first.jpg", occurrence=None)
    monkeypatch.setattr(undo, "BATCH_SIZE", 1)
    reverting = revert(job)
    edited.refresh_from_db()
    other.refresh_from_db()
    assert (edited.path, other.path) == ("first.jpg", "")
    assert left(reverting) == [("main.detection", edited.pk, "changed since")]
    assert reverting.progress.figures["Former values restored"] == 2


@pytest.mark.django_db(transaction=True)
def test_detection_whose_place_was_taken_since_does_not_come_back_beside_the_other() -> None:
    """An individual can be on a capture only once."""

    class Moving(CountingTask):
        key = "moving"

        def run(self) -> None:
            Detection.objects.filter(pk=moved.pk).update(occurrence=elsewhere)

    capture_set = make_scope(2, 1)
    moved, stays, elsewhere = (
        *Detection.objects.order_by("pk")[:2],
        Occurrence.objects.latest("pk"),
    )
    capture = make_capture(deployment=moved.source_image.deployment)
    Detection.objects.filter(pk=stays.pk).update(source_image=capture)
    home = moved.occurrence
    with registered(Moving):
        job = run(capture_set, Moving)
    make_detection(source_image=moved.source_image, occurrence=home)
    reverting = revert(job)
    assert left(reverting) == [("main.detection", moved.pk, "its place was taken since")]
    assert not get_split_occurrences().filter(pk=home.pk).exists()  # type: ignore[union-attr]


@pytest.mark.django_db(transaction=True)
def test_detections_that_shared_a_capture_come_back_one_after_the_other() -> None:
    """A fault that was there before the runs is there again."""

    class Leaving(CountingTask):
        key = "leaving"

        def run(self) -> None:
            first = Detection.objects.filter(occurrence=home).earliest("pk")
            Detection.objects.filter(pk=first.pk).update(occurrence=None)

    capture_set = make_scope(2)
    home = Occurrence.objects.get()
    former = rows()
    with registered(Leaving):
        jobs = [run(capture_set, Leaving), run(capture_set, Leaving)]
    for job in reversed(jobs):
        assert left(revert(job)) == []
    assert rows() == former
