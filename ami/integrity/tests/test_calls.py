"""Repairs beside other Jobs, and calls of `reconcile_*`."""

from typing import Any

import pytest
from django.db import transaction

from ami.integrity.finding import EVERYTHING, Scope
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.integrity.runner import run_checks
from ami.integrity.service import RepairStoppedError, new_repair, repair_here
from ami.integrity.tests.repairing import KEYS, queue
from ami.jobs import transitions
from ami.jobs.engine.here import must_wait
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import run_to_end
from ami.main.checks import reconcile_missing_determinations
from ami.main.checks.declarations import CHECKS, chosen_checks
from ami.main.checks.stale_counts import reconcile_event_counts
from ami.main.checks.tests import faults
from ami.main.checks.tests.faults.counts import everything_counted_wrong
from ami.main.checks.tests.test_batches import make_undetermined, poison
from ami.main.checks.tests.world import World, make_world
from ami.main.models import Occurrence
from ami.main.tests.test_determination_locks import run_in_thread

pytestmark = pytest.mark.django_db
__all__ = ["faults"]  # which declare themselves


class TestCall:
    """A call of `reconcile_*`, as in a shell."""

    def test_it_is_a_job_that_can_be_reverted(self) -> None:
        ids = make_undetermined(3)

        done = reconcile_missing_determinations(occurrence_ids=ids[:2], dry_run=False)

        assert (done.checked, done.fixed, done.unfixable) == (2, 2, 0)
        job = Job.objects.get()
        assert set(job.changes.values_list("object_id", flat=True)) == set(ids[:2])
        assert not IntegrityRun.objects.exists()  # which are of whole checks
        assert run_to_end(request_revert(job)).status == JobState.SUCCESS
        assert Occurrence.objects.filter(pk__in=ids, determination=None).count() == 3

    def test_it_repairs_only_its_table(self) -> None:
        everything_counted_wrong(make_world())

        assert reconcile_event_counts(dry_run=False).fixed == 1

        (result,) = run_checks([CHECKS["stale_counts"]]).results.all()
        assert set(result.samples) == {"main.sourceimage", "main.deployment"}

    def test_it_does_not_wait_for_another_job(self, world: World) -> None:
        first = queue()
        Job.objects.filter(pk=first.pk).update(
            status=JobState.STARTED, admitted_at=first.created_at
        )

        with pytest.raises(RepairStoppedError, match=rf"repaired\. Wait for Job {first.pk} \("):
            reconcile_missing_determinations(dry_run=False)

        assert Job.objects.latest("pk").status == JobState.REVOKED

    def test_error_of_the_program_is_raised(self, monkeypatch: pytest.MonkeyPatch) -> None:
        poison(*make_undetermined(1), code="undefined_column")

        with pytest.raises(RepairStoppedError, match=r"The run crashed: .* is poisoned"):
            reconcile_missing_determinations(dry_run=False)


class TestOneWriter:
    """A repair and a run that may write the same occurrences take turns."""

    def admitted(self, scope: Scope = EVERYTHING) -> Job:
        """A repair that runs in another process."""
        job = queue(scope=scope)
        Job.objects.filter(pk=job.pk).update(status=JobState.STARTED, admitted_at=job.created_at)
        return job

    def test_repair_waits_for_a_job_on_its_rows(self, world: World) -> None:
        first = self.admitted(Scope(project_id=world.project.pk))

        second = run_to_end(queue())

        assert (second.status, second.waits_for) == (JobState.PENDING, first)

    def test_repair_of_another_project_does_not_wait(self, world: World) -> None:
        self.admitted(Scope(project_id=world.project.pk))

        other = run_to_end(queue(scope=Scope(project_id=make_world().project.pk)))

        assert other.status == JobState.SUCCESS

    def test_repair_here_is_queued_where_it_has_to_wait(
        self, world: World, published: list[Any], django_capture_on_commit_callbacks: Any
    ) -> None:
        first = self.admitted()
        job = new_repair(chosen_checks(keys=KEYS), scope=EVERYTHING)

        assert repair_here(job) is None

        assert must_wait(job)
        with django_capture_on_commit_callbacks(execute=True):
            first.cancel()
            transitions.end(Job.objects.get(pk=first.pk), Outcome.CANCELED)
        job.refresh_from_db()
        assert published[-1] == (job.task_id, [job.pk])


@pytest.mark.django_db(transaction=True)
def test_row_that_somebody_keeps_locked_keeps_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ami.integrity.work.LOCK_PATIENCE", "SET LOCAL lock_timeout = '20ms'")
    ids = make_undetermined(10)
    job = queue("missing_determination")

    with transaction.atomic():
        Occurrence.objects.select_for_update().get(pk=ids[3])
        thread = run_in_thread(lambda: run_to_end(job))
        thread.join()

    job.refresh_from_db()
    assert (job.status, job.outcome) == (JobState.SUCCESS, Outcome.PROBLEMS)
    (left,) = IntegrityResult.objects.get().reasons
    assert (left["id"], left["reason"]) == (ids[3], "canceling statement due to lock timeout")
    assert list(Occurrence.objects.filter(pk__in=ids, determination=None)) == [
        Occurrence.objects.get(pk=ids[3])
    ]
