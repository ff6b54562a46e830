"""Which commands need a server, tested in a copy of the project without one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.devservers.servers import Postgres, Redis
from config.tests.processes import bare_environment, copy_project, has_stopped, wait_until


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    folder = copy_project(tmp_path / "project")
    yield folder
    for server in (Postgres(folder / ".local"), Redis(folder / ".local")):
        wait_until(lambda server=server: has_stopped(server))  # type: ignore[misc]


def _manage(project: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "manage.py", *arguments],
        cwd=project,
        env=bare_environment() | extra,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    ["check", "makemigrations --check", "--help", "help migrate", "migrate --help", "--version"],
)
def test_command_starts_no_server(project: Path, arguments: str) -> None:
    done = _manage(project, *arguments.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert not (project / ".local").exists()


@pytest.mark.parametrize("buffered", ["", "1"])
def test_command_ends_quietly_where_nobody_reads(project: Path, buffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "manage.py", "diffsettings"],
        cwd=project,
        env=bare_environment() | {"PYTHONUNBUFFERED": buffered},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("buffered", ["", "1"])
def test_command_says_that_its_output_cannot_be_written(project: Path, buffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "manage.py", "diffsettings"],
            cwd=project,
            env=bare_environment() | {"PYTHONUNBUFFERED": buffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    sentence = "The output cannot be written: No space left on device.\n"
    assert (done.returncode, done.stderr) == (1, sentence)


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_command_runs_where_its_output_is_closed(project: Path, closed: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" manage.py diffsettings {closed}', sys.executable],
        cwd=project,
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_project_starts_no_server_and_loads_no_scipy(project: Path) -> None:
    code = (
        "import django, config.celery_app, config.devservers.keeper; django.setup(); "
        "import sys, config.urls; "
        "sys.exit('scipy' in sys.modules)"
    )
    environment = bare_environment() | {"DJANGO_SETTINGS_MODULE": "config.settings.local"}
    subprocess.run([sys.executable, "-c", code], cwd=project, env=environment, check=True)
    assert not (project / ".local").exists()


def test_command_that_needs_a_server_has_it(project: Path) -> None:
    done = _manage(project, "migrate", "users")
    assert done.returncode == 0, done.stderr
    assert "Applying users.0001_initial... OK" in done.stdout


def test_only_the_server_that_is_not_named_is_embedded(project: Path) -> None:
    done = _manage(project, "showmigrations", "users", REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 0, done.stderr
    assert (project / ".local" / "postgres").exists()
    assert not (project / ".local" / "redis").exists()


def test_server_that_cannot_start_is_told_in_one_sentence(project: Path) -> None:
    (project / ".local").write_text("in the way")
    done = _manage(project, "migrate")
    (project / ".local").unlink()
    assert done.returncode == 1
    assert done.stderr.startswith("The embedded postgres cannot use ")
    assert done.stderr.count("\n") == 1
