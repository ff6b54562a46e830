"""Deletion of old Jobs: which rows are deleted or kept, and in which steps."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ami.base.tests.factories import make_classification, make_member, make_project, make_user
from ami.base.tests.snapshots import snapshot
from ami.jobs import pruning
from ami.jobs.journal.revert import RevertRefusedError, request_revert
from ami.jobs.models import Job, JobChange, JobLog, JobPart, JobState
from ami.jobs.service import ApplyRefusedError
from ami.jobs.states import FINAL
from ami.jobs.tests.job_types import make_job
from ami.main.access import Role
from ami.main.models import Classification
from ami.ml.post_processing.again import apply

pytestmark = pytest.mark.django_db
NOW = timezone.now()
TABLES = (Job, JobLog, JobPart, JobChange, Classification)


def ended_job(days: int, *, rows: int = 3, **fields: Any) -> Job:
    ended = NOW - timedelta(days=days)
    job = make_job(**{"status": JobState.SUCCESS, "finished_at": ended, **fields})
    JobLog.objects.bulk_create(JobLog(job=job, message="A line") for _ in range(rows))
    JobPart.objects.bulk_create(JobPart(job=job, number=number) for number in range(rows))
    JobChange.objects.bulk_create(
        JobChange(job=job, batch=1, kind="created", model="main.classification", object_id=pk)
        for pk in range(rows)
    )
    return job


def prune(*arguments: str) -> Any:
    out = StringIO()
    call_command("prune_jobs", "--format", "json", *arguments, stdout=out)
    return json.loads(out.getvalue())["deleted"]


def deleted(**figures: int) -> dict[str, int]:
    return dict.fromkeys(("jobs", "jobs_emptied", *pruning.OWNED), 0) | figures


def test_old_job_goes_with_all_that_it_owns() -> None:
    old, young = ended_job(400), ended_job(20)
    assert prune() == deleted(jobs=1, changes=3, parts=3, logs=3)
    assert not Job.objects.filter(pk=old.pk).exists()
    for model in (JobLog, JobPart, JobChange):
        assert set(model._default_manager.values_list("job", flat=True)) == {young.pk}
    assert prune() == deleted()


def test_log_goes_before_the_job() -> None:
    job = ended_job(100)
    assert prune() == deleted(logs=3)
    assert (job.changes.count(), job.parts.count(), job.logs.count()) == (3, 3, 0)


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--older-than", "10"], 0),
        (["--older-than", "30"], 1),
        (["--older-than", "10", "--logs-older-than", "400"], 0),
    ],
)
def test_days_decide(arguments: list[str], left: int) -> None:
    ended_job(20)
    prune(*arguments)
    assert Job.objects.count() == left
    assert JobLog.objects.count() == 3 * left


@pytest.mark.parametrize("status", sorted(set(JobState) - FINAL))
def test_job_that_has_not_ended_stays(status: JobState) -> None:
    ended_job(999, status=status)
    assert prune() == deleted()


def test_dry_run_tells_and_deletes_nothing() -> None:
    kept = ended_job(400)
    make_classification(job=kept)
    ended_job(401)
    ended_job(100)
    before = snapshot(*TABLES)
    told = prune("--dry-run")
    assert told == deleted(jobs=1, jobs_emptied=1, changes=6, parts=6, logs=9)
    assert snapshot(*TABLES) == before
    assert prune() == told


def test_provenance_of_classifications_survives() -> None:
    job = ended_job(400, params={"task": "small_size_filter"})
    classification = make_classification(job=job)
    before = snapshot(Classification)
    assert prune() == deleted(jobs_emptied=1, changes=3, parts=3, logs=3)
    assert snapshot(Classification) == before
    job.refresh_from_db()
    assert job.params == {"task": "small_size_filter"}
    assert job.pruned_at
    assert prune() == deleted()

    classification.delete()
    assert prune() == deleted(jobs=1)


def test_emptied_job_is_neither_reverted_nor_resumed_nor_applied() -> None:
    job, dry_run = ended_job(400), ended_job(400, dry_run=True, job_type_key="post_processing")
    for named in (job, dry_run):
        make_classification(job=named)
    stale = Job.objects.get(pk=job.pk)
    prune()
    job.refresh_from_db()
    dry_run.refresh_from_db()
    with pytest.raises(RevertRefusedError, match=r"journal of Job \d+ was deleted on"):
        request_revert(job)
    with pytest.raises(ApplyRefusedError, match="was deleted on"):
        apply(dry_run, user=None)
    assert not job.can_resume
    assert not stale.resume()


@pytest.mark.parametrize("reference", ["reverts", "applies", "waits_for"])
def test_job_stays_as_long_as_one_that_refers_to_it(reference: str) -> None:
    former = ended_job(400)
    between = ended_job(390, applies=former)
    newest = ended_job(20)
    Job.objects.filter(pk=newest.pk).update(**{reference: between})
    before = snapshot(Job, JobChange, JobPart)
    assert prune("--dry-run") == prune() == deleted(logs=6)
    assert snapshot(Job, JobChange, JobPart) == before

    Job.objects.filter(pk=newest.pk).update(finished_at=NOW - timedelta(days=370))
    assert prune() == deleted(jobs=3, changes=9, parts=9, logs=3)


def test_reference_that_comes_meanwhile_keeps_the_job() -> None:
    old, older = ended_job(400), ended_job(500)
    steps = pruning.prune(NOW - timedelta(days=365), logs_before=NOW - timedelta(days=999))
    while not next(steps)["changes"]:
        pass
    make_job(reverts=old, status=JobState.STARTED)
    for _ in steps:
        pass
    assert set(Job.objects.values_list("pk", flat=True)) >= {old.pk}
    assert old.changes.count() == 3
    assert not Job.objects.filter(pk=older.pk).exists()


def test_named_job_whose_reverts_are_pruned_loses_no_more() -> None:
    former = ended_job(400)
    make_classification(job=former)
    ended_job(390, reverts=former)
    assert prune()["jobs"] == 1
    former.refresh_from_db()
    assert former.pruned_at


def test_stopped_in_the_middle_it_goes_on_and_nobody_reverts_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 2)
    job = ended_job(400, rows=5)
    make_classification(job=job)
    for figures in pruning.prune(NOW - timedelta(days=365), logs_before=NOW):
        if figures["changes"]:
            break
    assert job.changes.count() == 3
    job.refresh_from_db()
    with pytest.raises(RevertRefusedError):
        request_revert(job)
    assert prune() == deleted(jobs_emptied=1, changes=3, parts=5)


@pytest.mark.django_db(transaction=True)
def test_each_chunk_is_a_transaction_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 2)
    ended_job(400, rows=5)
    cutoff = NOW - timedelta(days=365)
    seen = []
    for figures in pruning.prune(cutoff, logs_before=cutoff):
        assert not connection.in_atomic_block
        seen.append(sum(figures[name] for name in pruning.OWNED))
    assert seen == [2, 4, 5, 7, 9, 10, 12, 14, 15, 15]


def test_no_row_is_read_and_queries_follow_the_chunks() -> None:
    def queries(rows: int) -> list[str]:
        ended_job(400, rows=rows)
        with CaptureQueriesContext(connection) as captured, transaction.atomic():
            prune()
        return [query["sql"] for query in captured]

    queries(1)  # reads what is kept in memory: the account of the system, and content types
    few, many = queries(10), queries(3_000)
    assert len(few) == len(many)
    assert not [sql for sql in many if "jobs_jobchange" in sql and '"before"' in sql]


def test_jobs_by_the_hundred_are_walked_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "JOBS_AT_ONCE", 3)
    for _ in range(7):
        ended_job(400, rows=0)
    assert prune() == deleted(jobs=7)


def test_people_are_told_in_a_sentence() -> None:
    make_classification(job=ended_job(400))
    out = StringIO()
    call_command("prune_jobs", stdout=out)
    assert out.getvalue().splitlines() == [
        "Deleted 0 Jobs, 3 log lines, 3 parts and 3 changes.",
        "Other rows refer to 1 more Job; only the row of each is kept.",
    ]


def test_audit_names_who_deleted_which_job() -> None:
    user, job = make_user(is_superuser=True), ended_job(400)
    prune("--as", user.email)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.action_flag) == (user, str(job.pk), DELETION)
    with pytest.raises(CommandError, match="This command works on all projects"):
        prune("--as", make_member(make_project(), Role.MANAGER).email)
