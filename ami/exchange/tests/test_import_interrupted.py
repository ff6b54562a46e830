"""Imports of several batches: stopped, resumed, retried, and undone."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from ami.base.tests.factories import make_project
from ami.exchange.base import known_rows, wait_for_turn
from ami.exchange.importing import work
from ami.exchange.importing.options import ImportOptions
from ami.exchange.importing.service import import_here, new_import
from ami.exchange.importing.writing import Portion
from ami.exchange.models import Import
from ami.exchange.plan import ImportPlan, Outcome
from ami.exchange.reading.registry import READERS
from ami.exchange.tests.exports import ROWS, make_record
from ami.exchange.tests.uploads import imported, plan_of, queued
from ami.jobs.engine import heart, runner
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobLog
from ami.jobs.states import JobState
from ami.jobs.states import Outcome as Ending
from ami.jobs.tests.job_types import Killed, run_to_end
from ami.jobs.tests.rows import silence
from ami.main.determinations import update_determinations
from ami.main.models import Deployment, Detection, Occurrence, Project, SourceImageCollection, Taxon
from config.tests.processes import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folder", "small_batches"),
]

RECORDS = [
    make_record(number, label="Noctua pronuba" if number % 3 == 0 else "Actias luna")
    for number in range(9)
]


@contextmanager
def at_batch(number: int, act: Callable[[], object]) -> Iterator[None]:
    """Let something happen once, after the rows of a batch were written, before its commit."""
    write, calls = Portion.write, 0

    def writing_one(batch: Portion) -> None:
        nonlocal calls
        calls += 1
        write(batch)
        if calls == number:
            act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Portion, "write", writing_one)
        yield


def counts() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in ROWS}


@pytest.fixture
def undisturbed() -> tuple[Any, dict[str, int]]:
    """The plan and the number of rows of an import that nothing disturbs; it is undone again."""
    imported(RECORDS, make_project(name="First"))  # creates what all projects share
    before = counts()
    job = imported(RECORDS, make_project(name="Second"))
    assert len(job.parts.get().batches) == 5
    told = plan_of(job).as_json()["counts"]
    return told, {name: number - before[name] for name, number in counts().items()}


def assert_like(job: Job, undisturbed: tuple[Any, dict[str, int]]) -> None:
    plan, rows = undisturbed
    assert job.status == JobState.SUCCESS
    assert plan_of(job).as_json()["counts"] == plan
    assert {name: number // 3 for name, number in counts().items()} == rows
    figures = job.progress.figures
    assert figures["Detections created"] == rows["Detection"]
    captures = SourceImageCollection.objects.get(project=job.project).images
    assert captures.count() == rows["SourceImage"]


def test_canceled_import_is_resumed(
    project: Project, undisturbed: tuple[Any, dict[str, int]]
) -> None:
    job = queued(RECORDS, project)
    with at_batch(2, lambda: Job.objects.get(pk=job.pk).cancel()):
        job = run_to_end(job)
    assert job.outcome == Ending.CANCELED
    assert plan_of(job).counts[Outcome.CREATED][Occurrence] == 4
    assert Occurrence.objects.filter(project=project).count() == 4
    assert job.resume()
    assert_like(run_to_end(job), undisturbed)


@pytest.mark.parametrize("replaced", [RECORDS[1:], RECORDS[::-1]])
def test_import_of_a_file_that_was_replaced_is_not_resumed(
    project: Project, replaced: list[Any]
) -> None:
    job = queued(RECORDS, project)
    with at_batch(2, lambda: Job.objects.get(pk=job.pk).cancel()):
        job = run_to_end(job)
    path = Path(default_storage.path(Import.objects.get(job=job).path))
    path.write_text(json.dumps(replaced))
    assert job.resume()
    job = run_to_end(job)
    assert job.status == JobState.FAILURE
    assert job.error.startswith("occurrences.json has changed since the import began. Import it ")
    assert Occurrence.objects.filter(project=project).count() == 4


def test_two_imports_at_once_into_a_new_project_write_each_row_once(tmp_path: Path) -> None:
    path = tmp_path / "occurrences.json"
    path.write_text(json.dumps(RECORDS))
    reader = READERS["antenna_examples"]
    jobs = [
        new_import(reader, ImportOptions(), name="a.json", project=None, project_name="Maine")
        for _ in range(2)
    ]
    together = Barrier(2, timeout=60)

    def run(job: Job) -> ImportPlan:
        try:
            together.wait()
            return import_here(job, path)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        plans = list(threads.map(run, jobs))
    project = Project.objects.get()
    assert [(job.outcome, job.project) for job in jobs] == [(Ending.SUCCEEDED, project)] * 2
    assert counts()["Detection"] == sum(plan.counts[Outcome.CREATED][Detection] for plan in plans)
    assert (Deployment.objects.count(), Taxon.objects.count()) == (1, 2)
    assert counts() | {"Occurrence": 9, "Detection": 18, "SourceImage": 2} == counts()
    assert SourceImageCollection.objects.count() == 1


def test_import_that_waits_for_another_one_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heart, "BEAT_SECONDS", 0.05)
    path = tmp_path / "occurrences.json"
    path.write_text(json.dumps(RECORDS))
    begun = Barrier(2, timeout=60)

    def write_another() -> None:
        """End as soon as the log of the import that waits says so."""
        try:
            with transaction.atomic():
                wait_for_turn("import_occurrences")
                begun.wait()
                wait_until(JobLog.objects.filter(message=work.WAITS).exists)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        done = other.submit(write_another)
        begun.wait()
        call_command("import_occurrences", str(path), project="Maine", stdout=StringIO())
        done.result()
    job = Job.objects.get()
    assert (job.outcome, counts()["Occurrence"]) == (Ending.SUCCEEDED, 9)
    assert f"Job {job.pk}: {work.WAITS}" in capsys.readouterr().err


def test_transient_error_is_retried(
    project: Project, undisturbed: tuple[Any, dict[str, int]]
) -> None:
    def lose() -> None:
        raise OperationalError("deadlock detected")

    job = queued(RECORDS, project)
    with at_batch(3, lose):
        job = run_to_end(job)
    assert_like(job, undisturbed)


def test_import_of_a_lost_worker_is_continued(
    project: Project, undisturbed: tuple[Any, dict[str, int]]
) -> None:
    def kill() -> None:
        raise Killed

    job = queued(RECORDS, project)
    with at_batch(4, kill), pytest.raises(Killed):
        runner.run(job.pk, task_id=job.task_id)
    part = job.parts.get()
    silence(part)
    runner.run_part(part.pk, task_id=part.task_id, only_silent=True)
    job.refresh_from_db()
    assert_like(job, undisturbed)


def test_import_in_batches_is_undone(project: Project) -> None:
    job = imported(RECORDS, project)
    run_to_end(request_revert(job))
    assert set(counts().values()) == {0}


def test_canceled_import_is_undone(project: Project) -> None:
    job = queued(RECORDS, project)
    with at_batch(2, lambda: Job.objects.get(pk=job.pk).cancel()):
        job = run_to_end(job)
    run_to_end(request_revert(job))
    assert set(counts().values()) == {0}


@pytest.mark.parametrize("atomic", [True, False])
def test_dry_run_foretells_the_import(project: Project, atomic: bool) -> None:
    imported(RECORDS[:3], project)
    changed = [
        {**record, "examples": [{**one, "score": 0.75} for one in record["examples"]]}
        for record in RECORDS[:2]
    ]
    data = [*changed, *RECORDS[2:], make_record(50, label="Unknown moth")]
    before = counts()
    foretold = imported(data, project, dry_run=True, update=True, atomic=atomic)
    assert counts() == before
    job = imported(data, project, update=True, atomic=atomic)
    assert plan_of(job).as_json() == plan_of(foretold).as_json()
    assert plan_of(job).writes
    assert dict(changes(foretold)) == dict(changes(job))


def test_statistics_are_true_before_occurrences_are_determined(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run leaves false ones; with them, the statement would read tables again and again."""
    imported(RECORDS, project, dry_run=True)
    believed: list[tuple[float, int]] = []

    def updating(ids: set[int]) -> None:
        believed.append((known_rows(Detection), Detection.objects.count()))
        update_determinations(ids)

    monkeypatch.setattr("ami.exchange.importing.writing.update_determinations", updating)
    imported(RECORDS, project)
    assert len(believed) == 5
    assert all(rows / 2 <= known <= rows for known, rows in believed), believed


def changes(job: Job) -> Iterator[tuple[tuple[str, str], int]]:
    """The number of changes in the journal by kind and table."""
    pairs = list(job.changes.values_list("kind", "model"))
    for pair in set(pairs):
        yield pair, pairs.count(pair)
