"""The revert does what the page before it has announced."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from ami.base.tests.factories import make_classification, make_taxon, make_user
from ami.jobs.engine import runner
from ami.jobs.journal import undo
from ami.jobs.journal.revert import request_foretelling, request_revert
from ami.jobs.models import Job, JobChange, JobState
from ami.jobs.tests.admin import page_of
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.jobs.tests.revert_fates import Cause, done, foretold
from ami.jobs.tests.reverting import SupersedingTask, ended, make_night, methods, revert, run
from ami.jobs.tests.seeing import broker
from ami.jobs.tests.workers import Broker, fresh, queued, race
from ami.main.determinations import score_is_stale, taxon_is_stale
from ami.main.models import (
    Classification,
    Detection,
    Identification,
    Occurrence,
    SourceImageCollection,
)
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.tests.every import make_rows_for
from ami.ml.post_processing.tests.methods import CountingTask, make_scope, registered
from ami.ml.post_processing.tracking import TrackingTask
from ami.testing.records import exactly, rows
from ami.users.models import User

__all__ = ["broker", "methods"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("methods")]


def revert_as_foretold(job: Job) -> tuple[Job, Counter[Cause]]:
    """Revert the Job; assert that it does what was announced, and that every name is supported."""
    expected = foretold(job)
    reverting = revert(job)
    assert done(reverting) == expected
    assert not Occurrence.objects.filter(taxon_is_stale()).exists()
    assert not Occurrence.objects.filter(score_is_stale()).exists()
    return reverting, expected[1]


@pytest.fixture
def night() -> SourceImageCollection:
    """Nights of tracks; each detection has a taxon and is too small for a threshold of 0.5."""
    make_rows_for("tracking")
    return SourceImageCollection.objects.get()


def flag(scope: SourceImageCollection) -> Job:
    return run(scope, size_threshold=0.5)


def supersede(scope: SourceImageCollection) -> Job:
    config = {"source_image_collection_id": scope.pk}
    params = {"task": SupersedingTask.key, "config": config}
    return ended(run_to_end(make_job(job_type_key=JOB_TYPE, params=params)))


def track(scope: SourceImageCollection) -> Job:
    return run(scope, TrackingTask)


@pytest.mark.parametrize("method", [flag, supersede])
def test_run_under_tracking_is_reverted_without_a_name_that_nothing_supports(
    night: SourceImageCollection, method: Callable[[SourceImageCollection], Job]
) -> None:
    """Tracking has moved the detections to other occurrences, and deleted their own."""
    job, tracking = method(night), track(night)
    _, left = revert_as_foretold(job)
    assert {by_job for _, _, by_job, _ in left} == {tracking.pk}
    assert not Classification.objects.filter(job=job).exists()
    revert_as_foretold(tracking)


@pytest.mark.parametrize("method", [flag, supersede])
def test_tracking_under_a_run_is_reverted_as_foretold(
    night: SourceImageCollection, method: Callable[[SourceImageCollection], Job]
) -> None:
    before = exactly(rows())
    tracking, job = track(night), method(night)
    _, left = revert_as_foretold(tracking)
    assert {by_job for _, _, by_job, _ in left} <= {job.pk}
    revert_as_foretold(job)
    if not left:
        assert exactly(rows()) == before


def test_former_determination_comes_back_though_it_was_wrong(night: SourceImageCollection) -> None:
    """Another run was made and reverted in between: the same rows support the determination."""
    Occurrence.objects.update(determination=make_taxon(), determination_score=0.125)
    before = exactly(rows())
    tracking = track(night)
    flags = flag(night)
    revert(flags)
    revert(tracking)
    assert exactly(rows()) == before


def test_determination_is_recomputed_where_what_it_rested_on_was_deleted() -> None:
    """No row shows the deletion."""
    capture_set, occurrence = make_night(small=False)
    first, second = Detection.objects.filter(occurrence=occurrence).order_by("pk")
    best, other = make_taxon(), make_taxon()
    Classification.objects.filter(detection=first).update(taxon=best, score=0.9)
    Classification.objects.filter(detection=second).update(taxon=other, score=0.8)
    occurrence.save()
    Detection.objects.filter(pk=first.pk).update(occurrence=occurrence)

    class One(SupersedingTask):
        key = "one"

        def run(self) -> None:
            former = Classification.objects.get(detection=second, terminal=True)
            former.terminal = False
            former.save()
            make_classification(detection=second, applied_to=former, score=0.99, job=self.job)
            self.update_determinations([occurrence.pk])

    with registered(One):
        job = run(capture_set, One)
        Classification.objects.filter(detection=first).delete()
        revert_as_foretold(job)
    occurrence.refresh_from_db()
    assert occurrence.determination == other


@pytest.mark.usefixtures("methods")
def test_causes_are_named(
    night: SourceImageCollection, admin_user: User, admin_client: Client
) -> None:
    job = flag(night)
    written = list(Classification.objects.filter(job=job).order_by("pk"))
    changed = job.changes.filter(model="main.occurrence").values_list("object_id", flat=True)
    written = [one for one in written if one.detection.occurrence_id in set(changed)]
    identified, edited, gone = written[:3]
    person = make_user(name="Rosa")
    occurrence = Occurrence.objects.get(detections=identified.detection_id)
    Identification.objects.create(occurrence=occurrence, taxon=make_taxon(), user=person)
    data = {"taxon": make_taxon().pk, "score": "0.5", "terminal": "on", "metadata": "{}"}
    data |= {"timestamp_0": "2022-06-20", "timestamp_1": "23:00:00"}
    data |= {"detection": edited.detection_id}
    admin_client.post(f"/admin/main/classification/{edited.pk}/change/", data)
    Classification.objects.filter(pk=gone.pk).delete()
    page = admin_client.get(page_of(job, "revert/"))
    reverting, left = revert_as_foretold(job)
    causes = {(model, reason, by_user) for model, reason, _, by_user in left}
    assert causes >= {
        ("main.occurrence", "changed since", person.pk),
        ("main.classification", "changed since", admin_user.pk),
        ("main.classification", "deleted since", None),
        ("main.classification", "its occurrence was left alone", admin_user.pk),
    }
    for text in (page.text, admin_client.get(page_of(reverting)).text):
        assert f'<a href="/admin/users/user/{person.pk}/change/">Rosa</a>' in text
        assert "a change outside Jobs" in text
        assert f'href="/admin/main/classification/{edited.pk}/change/"' in text
        assert str(gone.pk) in text


def stopped_midway(broker: Broker, scope: Any, task_cls: type[BasePostProcessingTask]) -> Job:
    """A Job of several parts that was canceled after the first one."""
    job = queued(task_cls, scope)
    broker.forget()
    runner.run(job.pk, task_id=job.task_id)
    first = job.parts.earliest("number")
    runner.run_part(first.pk, task_id=first.task_id)
    broker.forget()
    assert fresh(job).cancel()
    assert fresh(job).status == JobState.REVOKED
    return fresh(job)


def test_job_resumed_after_another_one_is_reverted_change_by_change(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row was written by the first part of the Job, by another Job, and by the second part."""

    class Path(CountingTask):
        key = "path"
        batch_size = 1
        part_batches = 1

        def process(self, batch: Batch) -> None:
            number = JobChange.objects.count()
            Detection.objects.order_by("pk").filter(pk=shared.pk).update(path=f"{number}.jpg")

    scope = make_scope(1, 1)
    shared = Detection.objects.earliest("pk")
    with registered(Path):
        job = stopped_midway(broker, scope, Path)
        other = queued(Path, scope)
        broker.work(1)
        assert ended(other)
        theirs = Detection.objects.get(pk=shared.pk).path
        assert job.resume()
        broker.work(1)
        assert ended(job)
        expected = foretold(job)
        reverting = request_revert(job)
        broker.work(1)
    assert done(ended(reverting)) == expected
    assert Detection.objects.get(pk=shared.pk).path == theirs
    assert list(expected[1]) == [("main.detection", "changed since", other.pk, None)]
    with registered(Path):
        request_revert(other)
        broker.work(1)


def test_many_changes_are_foretold_by_a_dry_run(
    admin_client: Client, night: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ami.jobs.admin.revert.AT_ONCE", 3)
    monkeypatch.setattr(undo, "BATCH_SIZE", 5)
    job, tracking = flag(night), track(night)
    assert "Count first (dry run)" in admin_client.get(page_of(job, "revert/")).text
    before = exactly(rows())
    admin_client.post(page_of(job, "revert/"), {"_foretell": ""})
    dry_run = run_to_end(Job.objects.latest("pk"))
    assert exactly(rows()) == before
    assert f"Job {dry_run.pk}</a>, succeeded" in admin_client.get(page_of(job, "revert/")).text
    page = admin_client.get(page_of(dry_run)).text
    assert f'<a href="{page_of(tracking)}">Job {tracking.pk} (a run)</a>' in page
    assert done(revert(job)) == done(dry_run)
    assert request_foretelling(tracking).dry_run


def test_locked_rows_are_told_of(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami.jobs.journal.revert.PATIENCE", "SET LOCAL lock_timeout = '50ms'")
    capture_set, _ = make_night()
    job = run(capture_set)
    with transaction.atomic():
        Classification.objects.select_for_update().get(pk=Classification.objects.earliest("pk").pk)
        (page,) = race(lambda: admin_client.get(page_of(job, "revert/")))
    assert "Another transaction is writing these rows." in page.text


def test_new_name_of_what_a_run_created_keeps_nothing_from_its_revert(
    night: SourceImageCollection,
) -> None:
    """The earlier run was reverted first, which changed the determinations of the later one."""
    before = exactly(rows())
    first, second = flag(night), track(night)
    revert_as_foretold(first)
    revert_as_foretold(second)
    for job in reversed(Job.objects.filter(reverts__isnull=False).order_by("pk")):
        revert_as_foretold(job)
    for job in (second, first):
        revert_as_foretold(job)
    assert exactly(rows()) == before
