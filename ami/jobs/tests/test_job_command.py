"""`manage.py job`: actions by state, messages, exit codes, JSON, incorrect usage."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from ami.base.tests.commands import Ended, conforms, run_command
from ami.base.tests.factories import make_member, make_project
from ami.base.tests.snapshots import snapshot
from ami.jobs.management import watch
from ami.jobs.models import Job, JobLog, JobPart, JobState
from ami.jobs.states import PartState
from ami.jobs.tests.job_types import make_job
from ami.main.access import Role

pytestmark = pytest.mark.django_db
Shell = Callable[..., Ended]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("LOGNAME", "ann")

    def run(*arguments: Any, command: str = "job") -> Ended:
        return run_command("ami.jobs", command, *arguments, capsys=capsys)

    return run


def running_job(**fields: Any) -> Job:
    running = {"status": JobState.STARTED}
    job = make_job(**{**running, **fields})
    JobPart.objects.create(job=job, number=1, state=PartState.RUNNING, rows_total=9, rows_done=3)
    JobPart.objects.create(job=job, number=2, rows_total=1)
    return job


def test_pause_resume_and_cancel_go_through_the_states(shell: Shell) -> None:
    job = running_job()
    steps = [
        ("pause", JobState.PAUSED, f"Job {job.pk} was paused."),
        ("resume", JobState.STARTED, f"Job {job.pk} was resumed."),
        ("cancel", JobState.CANCELING, f"Job {job.pk} stops after its current batches."),
    ]
    for action, status, sentence in steps:
        assert shell(action, job.pk) == Ended(0, f"{sentence}\n", "")
        job.refresh_from_db()
        assert job.status == status
        job.parts.filter(number=1).update(state=PartState.RUNNING)  # as after a worker's claim
    assert job.logs.earliest("pk").message == "Paused by ann at the command line."


def test_waiting_job_is_canceled_at_once(shell: Shell) -> None:
    job = make_job()
    assert shell("cancel", job.pk).out == f"Job {job.pk} was canceled.\n"


@pytest.mark.parametrize(
    ("action", "verb", "status", "allowed"),
    [
        ("pause", "paused", JobState.PENDING, "cancel"),
        ("resume", "resumed", JobState.STARTED, "cancel, pause"),
        ("cancel", "canceled", JobState.SUCCESS, "nothing"),
        ("cancel", "canceled", JobState.CANCELING, "nothing"),
    ],
)
def test_what_the_status_does_not_allow_is_told(
    action: str, verb: str, status: JobState, allowed: str, shell: Shell
) -> None:
    job = make_job() if status == JobState.PENDING else running_job(status=status)
    before = snapshot(Job, JobPart, JobLog)
    assert shell(action, job.pk) == Ended(
        1,
        "",
        f"Job {job.pk} cannot be {verb} while its status is '{status.label.lower()}'; "
        f"allowed: {allowed}.\n",
    )
    assert snapshot(Job, JobPart, JobLog) == before


def test_several_jobs_are_each_told_of_once(shell: Shell) -> None:
    waiting, ended = make_job(), make_job(status=JobState.SUCCESS)
    told = shell("cancel", ended.pk, waiting.pk, ended.pk, "--format", "json")
    assert told.code == 1
    assert conforms(told.json, schema="job")
    assert [(job["job"], job["done"], job["status"]) for job in told.json["jobs"]] == [
        (ended.pk, False, "SUCCESS"),
        (waiting.pk, True, "REVOKED"),
    ]


def test_unknown_job_is_refused_before_anything_is_done(shell: Shell) -> None:
    job = make_job()
    assert shell("cancel", job.pk, 2**40) == Ended(2, "", f"There is no Job {2**40}.\n")
    job.refresh_from_db()
    assert job.status == JobState.PENDING


def test_job_is_shown_with_its_figures(shell: Shell) -> None:
    job = running_job()
    job.progress.add_or_update_stage_param(job.progress.add_stage("Stage"), "Rows done", 3)
    job.save()
    JobPart.objects.filter(state=PartState.RUNNING).update(
        claimed_at=timezone.now() - timedelta(seconds=3), heartbeat_at=timezone.now()
    )
    assert shell("show", job.pk).out.splitlines() == [
        f"Job {job.pk}: Running.",
        "  Rows done: 3",
        "  Rows: 3 of 10",
        "  Parts: 1 queued, 1 running",
        "  Rate: 1 rows/s, 00:07 left",
        "  Allows: cancel, pause",
    ]
    told = shell("show", job.pk, "--format", "json")
    assert conforms(told.json, schema="job")
    assert told.json["jobs"][0]["rows"] == {"total": 10, "done": 3, "failed": 0}


BAD = [
    ("job", []),
    ("job", ["stop", "1"]),
    ("job", ["cancel"]),
    *(("job", ["cancel", pk]) for pk in ("x", "0", "-1", "1.5", "", str(2**70), "9" * 5000)),
    ("job", ["cancel", "1", "--dry-run"]),
    ("job", ["show", "1", "--format", "yaml"]),
    *(
        ("prune_jobs", [flag, days])
        for flag in ("--older-than", "--logs-older-than")
        for days in ("0", "-1", "x", "", "1.5", "36501", str(2**70), "9" * 5000, "1 day")
    ),
    ("prune_jobs", ["--older-than"]),
    ("prune_jobs", ["--older", "7"]),
    ("prune_jobs", ["7"]),
    ("prune_jobs", ["--dry-run=no"]),
]


@pytest.mark.parametrize("as_json", [False, True])
def test_bad_usage_is_one_sentence_on_stderr(as_json: bool, shell: Shell) -> None:
    make_job(status=JobState.SUCCESS, finished_at=timezone.now() - timedelta(days=9999))
    before = snapshot(Job)
    for command, arguments in BAD:
        ended = shell(*(["--format", "json"] if as_json else []), *arguments, command=command)
        assert ended.code == 2, (arguments, ended)
        assert ended.err.count("\n") == 1, arguments
        assert len(ended.err) < 500, arguments
        assert ended.err.strip().endswith("."), arguments
        assert snapshot(Job) == before, arguments
        if as_json:
            assert conforms(ended.json, schema=command), arguments
            assert ended.json["error"] == ended.err.strip(), arguments


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_pruning_is_told_as_json(arguments: list[str], shell: Shell) -> None:
    told = shell("--format", "json", *arguments, command="prune_jobs")
    assert (told.code, told.err) == (0, "")
    assert conforms(told.json, schema="prune_jobs")


def test_account_without_a_name_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert watch.operator_name() == "user 4711 at the command line"


class TestAsSomeone:
    def test_operator_is_recorded(self, shell: Shell) -> None:
        project = make_project()
        user, job = make_member(project, Role.OPERATOR), running_job(project=project)
        assert shell("pause", job.pk, "--as", user.email).code == 0
        assert job.logs.get().message == f"Paused by {user}."
        entry = LogEntry.objects.latest("pk")
        assert (entry.user, entry.object_id) == (user, str(job.pk))
        assert "at the command line" in entry.change_message

    @pytest.mark.parametrize("action", ["pause", "cancel", "run-again"])
    def test_viewer_is_refused(self, shell: Shell, action: str) -> None:
        project = make_project()
        user, job = make_member(project), running_job(project=project)
        before = snapshot(Job, JobLog, LogEntry)
        ended = shell(action, job.pk, "--as", user.email)
        assert (ended.code, ended.out) == (1, "")
        assert f"by {user}, who lacks jobs." in ended.err
        assert snapshot(Job, JobLog, LogEntry) == before
        assert shell("show", job.pk, "--as", user.email).code == 0

    def test_foreign_job_does_not_exist(self, shell: Shell) -> None:
        job, stranger = running_job(), make_member(make_project(), Role.MANAGER)
        ended = shell("pause", job.pk, "--as", stranger.email)
        assert (ended.code, ended.err) == (2, f"There is no Job {job.pk}.\n")
