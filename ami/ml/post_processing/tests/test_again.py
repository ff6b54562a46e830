"""Applying a dry run, and applying a reverted run again."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_member,
    make_user,
)
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.service import AlreadyLaunchedError, ApplyRefusedError, ScopeChangedError
from ami.jobs.tests.job_types import run_to_end
from ami.main.access import Role
from ami.main.models import Detection, Identification, Occurrence, SourceImageCollection
from ami.ml.post_processing.again import apply, can_apply
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask

pytestmark = pytest.mark.django_db


def run(capture_set: SourceImageCollection, *, dry_run: bool) -> Job:
    config = {"source_image_collection_id": capture_set.pk, "size_threshold": 0.5}
    row = LaunchRow("Filter", capture_set.project, config)
    return run_to_end(launch(SmallSizeFilterTask, [row], dry_run=dry_run)[0])


def test_applied_dry_run_does_what_it_said(capture_set: SourceImageCollection) -> None:
    dry = run(capture_set, dry_run=True)
    user = make_member(capture_set.project, Role.OPERATOR)
    job = run_to_end(apply(dry, user=user))
    assert (job.dry_run, job.user, job.applies, job.params) == (False, user, dry, dry.params)
    assert job.progress.stages[0].params == dry.progress.stages[0].params
    assert job.changes.count() == dry.changes.count() > 0


def test_dry_run_is_applied_once(capture_set: SourceImageCollection) -> None:
    dry = run(capture_set, dry_run=True)
    job = apply(dry, user=None)
    for _ in range(2):
        with pytest.raises(AlreadyLaunchedError) as known:
            apply(dry, user=None)
        assert known.value.job_ids == [job.pk]
        assert not can_apply(dry)
        run_to_end(job)


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_once_one_applies(capture_set: SourceImageCollection) -> None:
    dry = run(capture_set, dry_run=True)

    def click(_: int) -> int:
        try:
            return apply(Job.objects.get(pk=dry.pk), user=None).pk
        except AlreadyLaunchedError as known:
            return known.job_ids[0]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as people:
        assert len(set(people.map(click, range(2)))) == 1
    assert dry.applied_by.count() == 1


def test_what_is_no_dry_run_is_refused(capture_set: SourceImageCollection) -> None:
    job = run(capture_set, dry_run=False)
    with pytest.raises(ApplyRefusedError, match="is not a dry run and was not reverted"):
        apply(job, user=None)


def test_unfinished_dry_run_is_refused(capture_set: SourceImageCollection) -> None:
    dry = run(capture_set, dry_run=True)
    Job.objects.filter(pk=dry.pk).update(status=JobState.STARTED)
    dry.refresh_from_db()
    with pytest.raises(ApplyRefusedError, match="has not succeeded"):
        apply(dry, user=None)


def test_deleted_scope_is_refused(capture_set: SourceImageCollection) -> None:
    dry = run(capture_set, dry_run=True)
    capture_set.delete()
    with pytest.raises(ApplyRefusedError, match="no longer exists"):
        apply(dry, user=None)


@pytest.mark.django_db(transaction=True)
def test_changed_scope_is_told_and_asked_about(capture_set: SourceImageCollection) -> None:
    dry = run(capture_set, dry_run=True)
    make_detection(source_image=capture_set.images.all()[0])
    make_classification(detection=Detection.objects.earliest("pk"))
    Identification.objects.create(occurrence=Occurrence.objects.earliest("pk"), user=make_user())
    with pytest.raises(ScopeChangedError) as changed:
        apply(dry, user=None)
    assert changed.value.changes == [
        "The scope held 3 detections; it now holds 4.",
        "1 detection added or changed since.",
        "1 classification added or changed since.",
        "1 identification added or changed since.",
    ]
    assert apply(dry, user=None, confirmed=True).applies == dry


@pytest.mark.django_db(transaction=True)
def test_as_many_other_detections_are_told_of(capture_set: SourceImageCollection) -> None:
    capture = capture_set.images.all()[0]
    make_detection(source_image=capture)
    dry = run(capture_set, dry_run=True)
    Detection.objects.latest("pk").delete()
    make_detection(source_image=capture)
    with pytest.raises(ScopeChangedError) as changed:
        apply(dry, user=None)
    assert changed.value.changes[0] == "The scope holds other detections than before."


def test_capture_that_was_exchanged_for_another_is_told_of() -> None:
    """The rows of both are older than the dry run, and their ids are between those of others."""
    trap = make_deployment()
    captures = [make_capture(deployment=trap) for _ in range(4)]
    for capture in captures:
        make_detection(source_image=capture, bbox=[1, 1, 3, 3])
    capture_set = make_capture_set([captures[0], captures[1], captures[3]])
    dry = run(capture_set, dry_run=True)
    capture_set.images.remove(captures[1])
    capture_set.images.add(captures[2])
    with pytest.raises(ScopeChangedError) as changed:
        apply(dry, user=None)
    assert changed.value.changes == ["The scope holds other detections than before."]


def test_reverted_run_is_applied_again_and_again(capture_set: SourceImageCollection) -> None:
    job = run(capture_set, dry_run=False)
    for _ in range(2):
        assert not can_apply(job)
        run_to_end(request_revert(job))
        assert can_apply(job)
        former, job = job, run_to_end(apply(job, user=None))
        assert job.progress.stages[0].params == former.progress.stages[0].params
        assert job.changes.count() == former.changes.count()
