"""`manage.py run_post_processing` in a separate process: signals, waiting, a terminal."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from ami.base.tests.commands import Ended, conforms
from ami.base.tests.factories import make_capture_set, make_detection, make_occurrence
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome, PartState
from config.tests.processes import wait_until

pytestmark = pytest.mark.django_db


class Process:
    """The command in a separate process, as a person runs it."""

    def __init__(self, *arguments: Any, stderr: int = subprocess.PIPE) -> None:
        name = connection.settings_dict["NAME"]
        database = urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "run_post_processing", *map(str, arguments)],
            cwd=settings.ROOT,
            env=os.environ | {"DATABASE_URL": database, "REDIS_URL": settings.REDIS_URL},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> Ended:
        out, err = self.process.communicate(timeout=30)
        return Ended(self.process.returncode, out, err or "")


def the_job() -> Job:
    wait_until(Job.objects.exists)
    return Job.objects.get()


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_cancels_a_job_that_waits() -> None:
    command = Process("small_size_filter", "--occurrence", make_occurrence().pk)
    job = the_job()
    command.interrupt()
    ended = command.end()
    job.refresh_from_db()
    assert (ended.code, job.status) == (1, JobState.REVOKED)
    assert ended.out.startswith(f"Job {job.pk}: Canceled.")
    assert "Traceback" not in ended.err
    assert "at the command line" in job.logs.get().message


@pytest.mark.django_db(transaction=True)
def test_second_ctrl_c_leaves_the_job_canceling() -> None:
    arguments = ("--occurrence", make_occurrence().pk, "--format", "json")
    command = Process("small_size_filter", *arguments)
    job = the_job()
    Job.objects.filter(pk=job.pk).update(status=JobState.STARTED)
    job.parts.update(state=PartState.RUNNING, heartbeat_at=timezone.now())
    command.interrupt()
    wait_until(Job.objects.filter(pk=job.pk, status=JobState.CANCELING).exists)
    assert command.process.poll() is None
    command.interrupt()
    ended = command.end()
    assert (ended.code, ended.json["status"]) == (1, JobState.CANCELING)
    assert conforms(ended.json, schema="run_post_processing")
    assert f"Job {job.pk} stops after its current batches" in ended.err


@pytest.mark.django_db(transaction=True)
def test_what_holds_a_job_up_is_told_once() -> None:
    command = Process("small_size_filter", "--occurrence", make_occurrence().pk)
    job = the_job()
    stderr = command.process.stderr
    assert stderr
    steps: list[tuple[dict[str, Any], str]] = [
        ({"waits_for": Job.objects.create(name="A")}, "Waits for Job"),
        ({"unsent": "The broker did not take the Job's message: no."}, "The broker did not"),
        ({"status": JobState.PAUSED}, f"Job {job.pk} is paused"),
    ]
    for fields, sentence in steps:
        Job.objects.filter(pk=job.pk).update(**fields)
        line = stderr.readline()
        while "has waited for a worker" in line:
            line = stderr.readline()
        assert line.startswith(sentence)
    Job.objects.filter(pk=job.pk).update(status=JobState.SUCCESS, outcome=Outcome.SUCCEEDED)
    assert command.end() == Ended(0, f"Job {job.pk}: Succeeded.\n", "")


@pytest.mark.django_db(transaction=True)
def test_job_without_a_worker_says_what_it_waits_for() -> None:
    command = Process("small_size_filter", "--occurrence", make_occurrence().pk)
    job, stderr = the_job(), command.process.stderr
    assert stderr
    line = stderr.readline()
    assert line.startswith(f"Job {job.pk} has waited for a worker since ")
    assert line.endswith(": no worker serves the queue post_processing.\n")
    command.interrupt()
    assert command.end().code == 1


@pytest.mark.django_db(transaction=True)
def test_timeout_ends_the_wait_and_leaves_the_job() -> None:
    arguments = ("--occurrence", make_occurrence().pk, "--format", "json", "--timeout", 1)
    ended = Process("small_size_filter", *arguments).end()
    job = Job.objects.get()
    assert (ended.code, job.status) == (3, JobState.PENDING)
    assert ended.json["status"] == JobState.PENDING
    assert conforms(ended.json, schema="run_post_processing")
    assert f"Job {job.pk} did not end in time and keeps running" in ended.err


@pytest.mark.django_db(transaction=True)
def test_deleted_job_ends_the_wait() -> None:
    command = Process("small_size_filter", "--occurrence", make_occurrence().pk)
    job = the_job()
    Job.objects.filter(pk=job.pk).delete()
    ended = command.end()
    assert (ended.code, ended.err) == (1, f"Job {job.pk} was deleted.\n")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("celery_worker")
def test_terminal_shows_a_bar_in_rows() -> None:
    capture_set = make_capture_set([make_detection(bbox=[0, 0, 10, 10]).source_image])
    terminal, ours = pty.openpty()
    termios.tcsetwinsize(ours, (24, 120))
    command = Process("small_size_filter", "--collection", capture_set.pk, stderr=ours)
    ended = command.end()
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    os.close(ours)
    assert ended.code == 0, shown
    assert "100%" in shown
    assert "1/1 rows" in shown


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("celery_worker")
def test_pipe_shows_no_bar() -> None:
    capture_set = make_capture_set([make_detection(bbox=[0, 0, 10, 10]).source_image])
    command = Process("small_size_filter", "--collection", capture_set.pk, "--format", "json")
    ended = command.end()
    assert ended.code == 0, ended.err
    assert "%|" not in ended.err
    told = json.loads(ended.out)
    assert told["rows"] == {"total": 1, "done": 1, "failed": 0}
    assert told["figures"]["Detections flagged"] == 1
