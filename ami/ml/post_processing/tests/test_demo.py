"""The demo, as `make demo ONCE=1` runs it, on separate embedded servers."""

import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.management import CommandError

from ami.ml.post_processing.management.commands.demo import check_port
from config.devservers.servers import Postgres, Redis
from config.tests.processes import (
    bare_environment,
    copy_project,
    free_port,
    has_stopped,
    wait_until,
)

pytestmark = pytest.mark.first


def _demo(project: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "manage.py", "demo", *arguments],
        cwd=project,
        env=bare_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _processes_of(project: Path) -> list[str]:
    """Return the commands of processes that still run in the project or use its files."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text().replace("\0", " ")
            home = (folder / "cwd").resolve()
        except OSError:
            continue
        if str(project) in command or home == project:
            found.append(command)
    return found


def _leaves_nothing_behind(project: Path) -> bool:
    """Return whether the servers have stopped; the keepers that say so may end a moment later."""
    stopped = all(has_stopped(kind(project / ".local")) for kind in (Postgres, Redis))
    wait_until(lambda: _processes_of(project) == [])
    return stopped


def _serve(project: Path) -> subprocess.Popen[str]:
    demo = _demo(project, "--port", str(free_port()))
    assert demo.stdout is not None
    assert any("Serving until Ctrl-C." in line for line in demo.stdout)
    return demo


@dataclass
class Once:
    """The output of a demo that ends with its Job, and the data that it left."""

    project: Path
    port: str
    code: int
    told: str
    errors: str
    clean: bool


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    project = copy_project(tmp_path_factory.mktemp("demo") / "project")
    port = str(free_port())
    demo = _demo(project, "--once", "--port", port)
    told, errors = demo.communicate(timeout=180)
    return Once(project, port, demo.returncode, told, errors, clean=_leaves_nothing_behind(project))


@pytest.fixture
def project(once: Once) -> Path:
    """A copy of the project in which the demo has run."""
    return once.project


def test_demo_runs_the_job_and_leaves_no_process_behind(once: Once) -> None:
    assert once.code == 0, once.errors
    assert "Small size filter on capture set Demo captures: Succeeded" in once.told
    assert f"http://127.0.0.1:{once.port}/admin/jobs/job/" in once.told
    assert once.clean


def test_demo_serves_until_it_is_stopped_and_a_second_signal_is_left_in_peace(
    project: Path,
) -> None:
    demo = _serve(project)
    demo.send_signal(signal.SIGINT)
    demo.send_signal(signal.SIGTERM)
    told, errors = demo.communicate(timeout=60)
    assert (demo.returncode, told, errors) == (0, "Stopping.\n", "")
    assert _leaves_nothing_behind(project)


def test_demo_that_prepares_is_stopped(project: Path) -> None:
    demo = _demo(project, "--port", str(free_port()))
    assert demo.stdout is not None
    assert demo.stdout.readline().startswith("Preparing")
    demo.send_signal(signal.SIGTERM)
    told, errors = demo.communicate(timeout=60)
    assert (demo.returncode, told, errors) == (0, "Stopping.\n", "")
    assert _leaves_nothing_behind(project)


def test_killed_demo_takes_what_it_started_along(project: Path) -> None:
    demo = _serve(project)
    demo.kill()
    demo.communicate(timeout=60)
    wait_until(lambda: _processes_of(project) == [])


def test_unusable_folder_is_named(project: Path) -> None:
    folder = project / ".local" / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.touch()
    demo = _demo(project, "--once", "--port", str(free_port()))
    _, errors = demo.communicate(timeout=60)
    folder.unlink()
    assert demo.returncode == 1
    assert errors == (
        f"CommandError: The demo cannot use {folder}: File exists; remove it, or run as the user "
        "who owns it.\n"
    )


def test_port_zero_is_refused() -> None:
    with pytest.raises(CommandError) as refusal:
        check_port(0)
    assert str(refusal.value) == (
        "Port 0 is not a valid port: choose one, as in `make demo PORT=8001`."
    )


def test_taken_port_is_told_with_the_remedy(project: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        demo = _demo(project, "--once", "--port", str(port))
        _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert errors == (
        f"CommandError: Port {port} cannot be used (Address already in use): choose another, as "
        "in `make demo PORT=8001`.\n"
    )
