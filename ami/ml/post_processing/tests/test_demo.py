"""The demo, as `make demo ONCE=1` runs it, on embedded servers of its own."""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.servers import Postgres, Redis
from config.tests.processes import bare_environment, copy_project, has_stopped, wait_until


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("demo") / "project")


@pytest.fixture
def port() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


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
    """Return the commands of what still runs in, or on the files of, the project."""
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


def test_demo_runs_the_job_and_leaves_no_process_behind(project: Path, port: str) -> None:
    demo = _demo(project, "--once", "--port", port)
    told, errors = demo.communicate(timeout=180)
    assert demo.returncode == 0, errors
    assert "Small size filter on capture set Demo captures: Succeeded" in told
    assert f"http://127.0.0.1:{port}/admin/jobs/job/" in told
    assert _processes_of(project) == []
    assert all(has_stopped(kind(project / ".local")) for kind in (Postgres, Redis))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_demo_serves_until_it_is_stopped(project: Path, port: str, signum: int) -> None:
    demo = _demo(project, "--port", port)
    assert demo.stdout is not None
    assert any("Serving until Ctrl-C." in line for line in demo.stdout)
    demo.send_signal(signum)
    told, errors = demo.communicate(timeout=60)
    assert (demo.returncode, told, errors) == (0, "Stopping.\n", "")
    assert _processes_of(project) == []


def test_second_signal_leaves_the_stopping_in_peace(project: Path, port: str) -> None:
    demo = _demo(project, "--port", port)
    assert demo.stdout is not None
    assert any("Serving until Ctrl-C." in line for line in demo.stdout)
    demo.send_signal(signal.SIGTERM)
    demo.send_signal(signal.SIGINT)
    told, errors = demo.communicate(timeout=60)
    assert (demo.returncode, told, errors) == (0, "Stopping.\n", "")
    assert _processes_of(project) == []


def test_killed_demo_takes_what_it_started_along(project: Path, port: str) -> None:
    demo = _demo(project, "--port", port)
    assert demo.stdout is not None
    assert any("Serving until Ctrl-C." in line for line in demo.stdout)
    demo.kill()
    demo.communicate(timeout=60)
    wait_until(lambda: _processes_of(project) == [])


def test_unusable_folder_is_named(project: Path, port: str) -> None:
    folder = project / ".local" / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.touch()
    demo = _demo(project, "--once", "--port", port)
    _, errors = demo.communicate(timeout=60)
    folder.unlink()
    assert demo.returncode == 1
    assert errors == (
        f"CommandError: The demo cannot use {folder}: File exists; remove it, or run as the user "
        "who owns it.\n"
    )


def test_port_zero_is_refused(project: Path) -> None:
    demo = _demo(project, "--once", "--port", "0")
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert errors == (
        "CommandError: Port 0 names no port: choose one, as in `make demo PORT=8001`.\n"
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
