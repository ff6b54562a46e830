"""`manage.py check_jobs`: its report, repairs, exit codes and JSON."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from django.contrib.admin.models import LogEntry

from ami.base.tests.commands import Ended, conforms, run_command
from ami.base.tests.factories import make_member, make_project, make_user
from ami.base.tests.snapshots import snapshot
from ami.jobs.models import Job, JobLog, JobPart, JobState
from ami.jobs.states import PartState
from ami.jobs.tests.queues import waiting
from ami.jobs.tests.rows import make_part, queued_job, running_job, silence
from ami.main.access import Role

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_broker")]
Shell = Callable[..., Ended]


@pytest.fixture(params=["check_jobs", "update_stale_jobs"])
def shell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Shell:
    def run(*arguments: Any) -> Ended:
        return run_command("ami.jobs", request.param, *arguments, capsys=capsys)

    return run


def test_report_tells_what_does_not_go_on_and_changes_nothing(shell: Shell) -> None:
    queued, job = queued_job(), running_job()
    silent, lost = make_part(job, PartState.RUNNING), make_part(job, PartState.QUEUED)
    silence(silent)
    before = snapshot(Job, JobPart, JobLog)
    ended = shell()
    assert ended.code == 1
    assert ended.out.splitlines() == [
        f"Job {queued.pk} is queued, but the broker has no message for it. "
        "Its message would be sent again.",
        f"{lost} is queued, but the broker has no message for it. Its message would be sent again.",
        f"There was no heartbeat of {silent} for 20 minutes. It would continue.",
        "Nothing was changed; `manage.py check_jobs --no-dry-run` repairs the Jobs.",
    ]
    assert "No worker serves the queue post_processing." in ended.err
    assert snapshot(Job, JobPart, JobLog) == before
    assert waiting(queued) == 0


def test_repair_has_them_go_on(shell: Shell) -> None:
    queued, canceled = queued_job(), running_job(status=JobState.CANCELING)
    silence(canceled)
    ended = shell("--no-dry-run")
    assert (ended.code, waiting(queued)) == (0, 1)
    assert "Its message was sent again." in ended.out
    assert "It ended as canceled." in ended.out
    ended = shell("--no-dry-run")
    assert (ended.code, ended.out) == (0, "No Job is stalled.\n")


def test_json_tells_the_same(shell: Shell) -> None:
    queued = queued_job()
    ended = shell("--format", "json")
    assert ended.code == 1
    assert conforms(ended.json, schema="check_jobs")
    (told,) = ended.json["jobs"]
    assert (told["job"], told["action"], told["fixed"]) == (queued.pk, "sent", False)
    ended = shell("--no-dry-run", "--format", "json")
    assert (ended.code, ended.json["jobs"][0]["fixed"]) == (0, True)


@pytest.mark.parametrize("arguments", [["extra"], ["--frobnicate"], ["--dry-run=yes"]])
def test_bad_usage_is_one_sentence(shell: Shell, arguments: list[str]) -> None:
    ended = shell(*arguments, "--format", "json")
    assert ended.code == 2
    assert ended.json["error"] == ended.err.strip()
    assert conforms(ended.json, schema="check_jobs")


def test_broker_that_does_not_answer_is_one_sentence(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Celery("nowhere", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.update(broker_url="redis://127.0.0.1:1/0")
    queued_job()
    with monkeypatch.context() as patch:
        patch.setattr("ami.jobs.watch.broker.current_app", app)
        ended = shell()
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("The broker does not answer: ")


def test_superuser_is_recorded_with_each_repaired_job(shell: Shell) -> None:
    user = make_user(is_superuser=True)
    queued, canceled = queued_job(), running_job(status=JobState.CANCELING)
    silence(canceled)
    assert shell("--as", user.email).code == 1
    assert not LogEntry.objects.exists()
    assert shell("--no-dry-run", "--as", user.email).code == 0
    entries = LogEntry.objects.order_by("pk").values_list("user", "object_id", "note__kind")
    assert list(entries) == [
        (user.pk, str(queued.pk), "resume"),
        (user.pk, str(canceled.pk), "cancel"),
    ]


def test_member_repairs_no_jobs_of_all_projects(shell: Shell) -> None:
    queued, manager = queued_job(), make_member(make_project(), Role.MANAGER)
    ended = shell("--no-dry-run", "--as", manager.email)
    assert (ended.code, waiting(queued)) == (2, 0)
    assert ended.err == f"This command works on all projects; {manager} is not a superuser.\n"
