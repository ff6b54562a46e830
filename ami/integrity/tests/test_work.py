"""Repairs of the integrity checks as Jobs."""

from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.apps import apps
from django.db.models import Model

from ami.base.tests.factories import make_user
from ami.base.tests.snapshots import snapshot
from ami.integrity.finding import EVERYTHING, Scope
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.integrity.service import JOB_TYPE, new_repair, repair_here
from ami.integrity.tests.repairing import KEY, KEYS, queue
from ami.integrity.work import OUT_OF_TIME
from ami.jobs.journal.revert import request_revert
from ami.jobs.journal.triggers import JOURNALED
from ami.jobs.models import JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.main.checks.declarations import CHECKS, chosen_checks
from ami.main.checks.tests import faults
from ami.main.checks.tests.faults.occurrences import classified_and_undetermined
from ami.main.checks.tests.repairing import another_fix
from ami.main.checks.tests.test_batches import make_undetermined, poison
from ami.main.checks.tests.world import FAULTS, TABLES, Rows, World, make_world
from ami.main.determinations import update_determinations
from ami.main.models import Occurrence

pytestmark = pytest.mark.django_db
__all__ = ["faults"]  # which declare themselves


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami.integrity.finding.BATCH_SIZE", 10)


def test_worker_repairs_and_tells(world: World) -> None:
    user = make_user()

    job = run_to_end(queue(user=user))

    assert (job.status, job.outcome) == (JobState.SUCCESS, Outcome.SUCCEEDED)
    assert job.progress.figures == {"Rows found": 1, "Rows repaired": 1, "Rows remaining": 0}
    assert job.progress.fraction == 1
    lines = list(job.logs.values_list("message", flat=True))
    assert lines[-1] == f"Integrity run {IntegrityRun.objects.get().pk} lists the rows."
    assert "Occurrence without a determination: 1 found, 1 repaired, 0 remain." in lines
    run = IntegrityRun.objects.get()
    assert (run.user, run.repair_job, run.dry_run) == (user, job, False)


def test_repair_is_cut_to_its_project(world: World) -> None:
    other = make_world()
    classified_and_undetermined(other)

    run_to_end(queue(scope=Scope(project_id=other.project.pk)))

    assert set(IntegrityResult.objects.values_list("found", flat=True)) == {0, 1}
    world.occurrence.refresh_from_db()
    other.occurrence.refresh_from_db()
    assert (world.occurrence.determination, other.occurrence.determination) == (
        None,
        other.species,
    )


def test_row_that_cannot_be_repaired_is_a_problem() -> None:
    ids = make_undetermined(20)
    poison(ids[7])

    job = run_to_end(queue("missing_determination"))

    assert (job.status, job.outcome) == (JobState.SUCCESS, Outcome.PROBLEMS)
    assert job.progress.figures["Skipped: could not be repaired"] == 1
    assert job.progress.figures["Rows repaired"] == 19


def test_error_of_the_program_crashes_the_repair_after_the_other_checks(world: World) -> None:
    poison(*make_undetermined(2), code="undefined_column")

    job = run_to_end(queue("missing_determination", "occurrence_without_detections"))

    assert job.outcome == Outcome.CRASHED
    said = "The run crashed: CheckCrashedError: Occurrence without a determination: ProgrammingErr"
    assert job.error.startswith(said)
    assert job.logs.filter(message__startswith="Occurrence without detections: ").exists()


def test_check_that_cannot_run_fails_the_job_after_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ami.main.checks.taxon_loop.loop_members", lambda *args: 1 / 0)

    job = run_to_end(queue("taxon_loop", *KEYS))

    assert job.status == JobState.FAILURE
    assert job.error.startswith("1 of 3 checks could not finish. Taxon that is its own")
    assert not Occurrence.objects.filter(pk=world.occurrence.pk, determination=None).exists()


@pytest.mark.usefixtures("small_batches")
def test_repair_is_paused_canceled_and_resumed_between_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_undetermined(30)
    job = queue(KEY)
    stop = iter([job.pause, job.cancel])

    def fix_and_stop(ids: list[int]) -> None:
        update_determinations(ids)
        next(stop, bool)()

    with another_fix(monkeypatch, KEY, fix_and_stop):
        assert run_to_end(job).status == JobState.PAUSED
        assert job.progress.figures["Rows repaired"] == 10
        assert job.resume()
        assert run_to_end(job).status == JobState.REVOKED
        assert job.progress.figures["Rows repaired"] == 20
        assert job.resume()
        assert run_to_end(job).status == JobState.SUCCESS

    assert job.progress.figures == {"Rows found": 30, "Rows repaired": 30, "Rows remaining": 0}
    assert job.changes.count() == 30
    result = IntegrityResult.objects.get()
    assert (result.found, result.fixed, result.remaining) == (30, 30, 0)


@pytest.mark.usefixtures("small_batches")
def test_dry_run_announces_what_the_repair_does_and_writes_nothing() -> None:
    ids = make_undetermined(25)
    poison(ids[7])
    before = snapshot(*TABLES)

    tried = run_to_end(queue(KEY, dry_run=True))

    assert snapshot(*TABLES) == before
    report = IntegrityRun.objects.get()
    assert (report.dry_run, report.repair_job, bool(report.finished_at)) == (True, tried, True)
    assert report.results.get().fixed == 0
    job = run_to_end(queue(KEY))
    assert tried.progress.figures == job.progress.figures
    assert job.progress.figures == {
        "Rows found": 25,
        "Rows repaired": 24,
        "Rows remaining": 1,
        "Skipped: could not be repaired": 1,
    }
    named = [set(run.changes.values_list("object_id", flat=True)) for run in (tried, job)]
    assert named == [{*ids} - {ids[7]}] * 2


def test_time_limit_ends_it_with_what_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_slow(*args: Any) -> None:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr("ami.main.checks.missing_determination.taxon_is_known", too_slow)

    job = run_to_end(queue())

    assert (job.status, job.error) == (JobState.FAILURE, OUT_OF_TIME)


@pytest.mark.usefixtures("small_batches")
def test_repair_that_is_interrupted_keeps_what_it_has_done() -> None:
    make_undetermined(25)
    told: list[int] = []

    def interrupt(rows: int) -> None:
        told.append(rows)
        if len(told) == 2:
            raise KeyboardInterrupt

    job = new_repair(chosen_checks(keys=KEYS), scope=EVERYTHING)
    with pytest.raises(KeyboardInterrupt):
        repair_here(job, on_batch=interrupt)

    job.refresh_from_db()
    assert job.status == JobState.REVOKED
    assert job.progress.figures == {"Rows found": 25, "Rows repaired": 10, "Rows remaining": 15}
    result = IntegrityResult.objects.get(key=KEY)
    assert (result.found, result.fixed, result.remaining) == (25, 10, 15)
    assert job.resume()
    assert run_to_end(job).status == JobState.SUCCESS
    assert not Occurrence.objects.filter(identifications__taxon__gt=0, determination=None).exists()


@pytest.mark.usefixtures("small_batches")
def test_row_that_cannot_be_repaired_is_stored_before_the_next_batch() -> None:
    ids = make_undetermined(20)
    poison(ids[9])

    def interrupt(rows: int) -> None:
        if rows == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repair_here(new_repair(chosen_checks(keys=[KEY]), scope=EVERYTHING), on_batch=interrupt)

    result = IntegrityResult.objects.get()
    assert (result.fixed, result.unfixable) == (9, 1)
    assert [told["id"] for told in result.reasons] == [ids[9]]


@pytest.mark.usefixtures("small_batches")
def test_repair_here_takes_as_long_as_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami.jobs.engine.parts.PART_SECONDS", 0)
    make_undetermined(25)

    run = repair_here(new_repair(chosen_checks(keys=[KEY]), scope=EVERYTHING))

    assert run
    assert run.results.get().fixed == 25


def test_repair_is_reverted(world: World) -> None:
    job = run_to_end(queue())

    revert = run_to_end(request_revert(job))

    assert revert.status == JobState.SUCCESS
    world.occurrence.refresh_from_db()
    assert world.occurrence.determination is None


def rows_of(*tables: type[Model]) -> list[Any]:
    """All rows without what a revert does not restore: times of the last change, cached counts."""
    return [
        {name: value for name, value in row.items() if not name.endswith(("updated_at", "_count"))}
        for rows in snapshot(*tables).values()
        for row in rows
    ]


JOURNALED_REPAIRS = [
    (key, make)
    for key in sorted(FAULTS)
    for make in FAULTS[key]
    if CHECKS[key].repair and key not in {"stale_counts", "stale_project", "wrong_project"}
]


@pytest.mark.parametrize(
    ("key", "make"), JOURNALED_REPAIRS, ids=lambda case: getattr(case, "__name__", case)
)
def test_every_repair_is_journaled_and_its_revert_puts_back_what_was(
    key: str, make: Callable[[World], Rows]
) -> None:
    """All checks except those of cached counts and of projects, which follow from other rows."""
    make(make_world())
    tables = [apps.get_model(label) for label in JOURNALED]
    before = rows_of(*tables)

    job = run_to_end(queue(key))
    assert rows_of(*tables) != before
    assert job.changes.exists()
    revert = run_to_end(request_revert(job))

    assert (revert.status, revert.outcome) == (JobState.SUCCESS, Outcome.SUCCEEDED)
    assert rows_of(*tables) == before


@pytest.mark.parametrize("params", [[], 3, {}, {"checks": 3, "job": None}])
def test_odd_parameters_fail_with_a_sentence(params: Any) -> None:
    job = run_to_end(make_job(job_type_key=JOB_TYPE, params=params))
    assert job.status == JobState.FAILURE
    assert job.error.startswith("The parameters of the repair are invalid: ")


def test_unknown_check_and_job_that_is_gone_fail_with_a_sentence() -> None:
    unknown = make_job(job_type_key=JOB_TYPE, params={"checks": ["x"], "job": None})
    assert "Unknown check 'x'" in run_to_end(unknown).error
    gone = make_job(job_type_key=JOB_TYPE, params={"checks": ["taxon_loop"], "job": 999_999})
    assert run_to_end(gone).error == "Job 999999, whose rows to repair, no longer exists."
