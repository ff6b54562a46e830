import json
import os
import pty
import signal
import subprocess
import sys
import termios
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, transaction

from ami.base.tests.factories import make_occurrence, make_project
from ami.base.tests.snapshots import snapshot
from ami.integrity.management.commands.check_data_integrity import Command
from ami.integrity.models import IntegrityRun
from ami.integrity.tests.commands import COMMAND, SCHEMA, run, run_json
from ami.jobs.models import Job
from ami.jobs.states import JobState
from ami.main.checks.tests.faults.occurrences import left_empty
from ami.main.checks.tests.test_batches import make_undetermined
from ami.main.checks.tests.world import TABLES, World, make_world
from ami.main.models import Occurrence
from ami.main.tests.test_determination_locks import wait_until_someone_waits_for_a_lock
from config.tests.processes import database_url


@pytest.fixture
def world() -> World:
    return make_world()


PARSER = Command().create_parser("manage.py", COMMAND)
# All declared options, except Django's own that accept any text.
FLAGS = sorted({*PARSER._option_string_actions} - {"--settings", "--pythonpath", "-h", "-v"})
HUGE = "9" * 40
BAD = [
    ("--project", "0", "There is no project 0."),
    ("--project", "999999999", "There is no project 999999999."),
    *(("--project", bad, "is not an id") for bad in ("-1", "x", "", "1.5", HUGE, "²", "1 OR 1=1")),
    ("--job", "999999999", "There is no Job 999999999."),
    *(("--job", bad, "is not an id") for bad in ("-1", "x", "", "1.5", HUGE, "NaN")),
    *(("--check", bad, "Unknown check") for bad in ("x", "", "-", "%s", "missing determination")),
    *(("--tag", bad, "invalid choice") for bad in ("x", "", HUGE)),
    *(("--format", bad, "invalid choice") for bad in ("xml", "", "JSON ")),
    *(("--samples", bad, "is not a number from 0 to 100") for bad in ("-1", "101", "x", "", HUGE)),
    *(("--fail-level", bad, "invalid choice") for bad in ("info", "", "-1")),
]


@pytest.mark.django_db
class TestBadUsage:
    @pytest.mark.parametrize("dry_run", ["--dry-run", "--no-dry-run"])
    def test_bad_value_is_told_in_one_sentence(
        self, dry_run: str, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        left_empty(world)
        before = snapshot(*TABLES)
        for flag, value, said in BAD:
            code, out, err = run(capsys, dry_run, f"{flag}={value}")

            assert (code, out) == (2, ""), (flag, value)
            assert said in err, (flag, value)
            assert len(err.splitlines()) == 1, (flag, value)
            assert not IntegrityRun.objects.exists(), (flag, value)
        assert snapshot(*TABLES) == before

    def test_bad_value_is_told_in_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        for flag, value, said in BAD:
            if flag == "--format":
                continue
            told = run_json(capsys, f"{flag}={value}")

            assert told["exit_code"] == 2, (flag, value)
            assert said in told["error"], (flag, value)

    @pytest.mark.parametrize("flag", FLAGS)
    def test_no_flag_takes_nonsense(self, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
        for value in ("-1", "9" * 40, "1.5", "x", "", " ", "'; DROP", "²", "\n"):
            code, out, err = run(capsys, f"{flag}={value}")

            assert (code, out) == (2, ""), value
            assert err.strip(), value
            assert len(err.splitlines()) == 1, value
            assert run_json(capsys, f"{flag}={value}")["exit_code"] == 2, value
            assert not IntegrityRun.objects.exists(), value

    @pytest.mark.parametrize(
        "options", ["--nonsense", "surplus", "--project", "--no-project 3", "--check", "--samples"]
    )
    def test_bad_options_are_told_in_one_sentence(
        self, options: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, err = run(capsys, *options.split())

        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert run_json(capsys, *options.split())["exit_code"] == 2

    def test_job_of_another_project_is_refused(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = make_project()
        owned, free = world.job, Job.objects.create(name="Free")

        code, _, err = run(capsys, "--project", str(other.pk), "--job", str(owned.pk))
        assert code == 2
        assert f"Job {owned.pk} belongs to project {world.project.pk}, not to" in err
        code, _, err = run(capsys, "--project", str(other.pk), "--job", str(free.pk))
        assert code == 2
        assert f"Job {free.pk} belongs to no project" in err

    def test_refusal_is_told_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "Unknown check" in run_json(capsys, "--check=x", "--traceback")["error"]
        assert run(capsys, "--check", "json", "--nonsense")[1] == ""

    def test_python_callers_get_a_command_error(self) -> None:
        with pytest.raises(CommandError, match="There is no project 5") as refused:
            call_command(COMMAND, project=5, stdout=StringIO())
        assert refused.value.returncode == 2

    def test_database_that_fails_is_told_in_json(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(**fields: Any) -> None:
            raise OperationalError("the database system is shutting down\nDETAIL: none")

        monkeypatch.setattr(IntegrityRun.objects, "create", fail)

        told = run_json(capsys)

        assert told["exit_code"] == 2
        assert told["error"] == "The database failed: the database system is shutting down"

    def test_ctrl_c_is_told(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(**fields: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(IntegrityRun.objects, "create", interrupt)

        assert run_json(capsys)["error"] == "Stopped; repaired rows stay repaired."


@pytest.mark.django_db(transaction=True)
def test_job_that_is_deleted_while_it_repairs_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete(*args: Any) -> None:
        Job.objects.all().delete()

    monkeypatch.setattr("ami.integrity.work.examine", delete)

    told = run_json(capsys, "--no-dry-run")

    assert told["error"].startswith("The Job of the repair, or its project, was deleted")


@pytest.mark.django_db(transaction=True)
class TestShell:
    """Run the command as a separate process."""

    def environment(self) -> dict[str, str]:
        return os.environ | {"DATABASE_URL": database_url()}

    def arguments(self, *options: str) -> list[str]:
        return [sys.executable, "manage.py", COMMAND, "--check", "stale_score", *options]

    def test_pipe_gets_no_progress_bar(self) -> None:
        make_occurrence()

        done = subprocess.run(
            self.arguments(),
            cwd=settings.ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("Clean: 1 check found nothing.\n")

    @pytest.mark.parametrize(
        ("number", "inherited"),
        [
            (signal.SIGINT, signal.SIG_IGN),  # as in the background of a shell
            (signal.SIGHUP, signal.SIG_IGN),
            (signal.SIGTERM, signal.SIG_DFL),
        ],
    )
    def test_repair_that_is_told_to_end_leaves_no_job_behind(
        self, number: signal.Signals, inherited: signal.Handlers
    ) -> None:
        (pk,) = make_undetermined(1)
        with transaction.atomic():
            Occurrence.objects.select_for_update().get(pk=pk)
            command = subprocess.Popen(
                self.arguments("--check", "missing_determination", "--no-dry-run"),
                cwd=settings.ROOT,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=partial(signal.signal, number, inherited),  # noqa: PLW1509
            )
            wait_until_someone_waits_for_a_lock()
            command.send_signal(number)

        out, err = command.communicate()
        assert (command.returncode, out) == (2, "")
        assert err == "Stopped; repaired rows stay repaired.\n"
        assert Job.objects.get().status == JobState.REVOKED

    def test_unfit_settings_are_no_finding(self, tmp_path: Path) -> None:
        (tmp_path / "unfit.py").write_text(
            "from config.settings.test import *\nCELERY_TASK_ACKS_LATE = False\n"
        )
        named = {"DJANGO_SETTINGS_MODULE": "unfit", "PYTHONPATH": str(tmp_path)}

        done = subprocess.run(
            self.arguments("--format=json"),
            cwd=settings.ROOT,
            env=self.environment() | named,
            capture_output=True,
            text=True,
            check=False,
        )

        told = json.loads(done.stdout)
        jsonschema.validate(told, SCHEMA)
        assert (done.returncode, told["exit_code"]) == (2, 2)
        assert "CELERY_TASK_ACKS_LATE" in done.stderr

    def test_terminal_gets_a_progress_bar(self) -> None:
        controller, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))

        done = subprocess.run(
            self.arguments(),
            cwd=settings.ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=terminal,
            check=False,
        )

        os.close(terminal)
        drawn = os.read(controller, 10_000).decode()
        os.close(controller)
        assert done.returncode == 0
        assert "1/1" in drawn
