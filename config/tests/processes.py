"""Real processes for tests: users of embedded servers, and copies of the project."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from config.devservers.embedded import ROOT
from config.devservers.servers import Server, try_lock

# A shell that starts the tests in the background lets all processes ignore SIGINT.
USER = """
import signal
import sys
from pathlib import Path
from config.devservers import servers
from config.devservers.embedded import Holder

signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    Holder(getattr(servers, sys.argv[1])(Path(sys.argv[2]))).hold()
except servers.ServiceError as error:
    sys.exit(str(error))
print("held", flush=True)
sys.stdin.read()
"""


class User:
    """A process that holds a server until it is told to leave."""

    def __init__(self, server: Server, *, prefix: tuple[str, ...] = ()) -> None:
        arguments = (type(server).__name__, str(server.top))
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", USER, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> "User":
        """Return when it holds the server."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n", self.refusal()
        return self

    def refusal(self) -> str:
        """Return its message if it cannot hold the server."""
        return self.process.communicate(timeout=60)[1]

    def leave(self) -> None:
        self.process.communicate(timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.leave()


def is_held(server: Server, name: str) -> bool:
    """Return whether a process holds one of the server's locks."""
    if not server.folder.exists():
        return False
    lock = server.open_lock(name)
    try:
        return not try_lock(lock)
    finally:
        os.close(lock)


def server_pid(server: Server) -> int:
    return int((server.folder / "server.lock").read_text())


def kill_keeper(server: Server) -> None:
    command = ["-m", "config.devservers.keeper", type(server).__name__, str(server.top)]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if words[1:5] == command:
            os.kill(int(folder.name), signal.SIGKILL)
    wait_until(lambda: not is_held(server, "keeper"))


def has_stopped(server: Server) -> bool:
    return not is_held(server, "keeper") and not is_held(server, "server")


def wait_until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.01)


def copy_project(target: Path) -> Path:
    """Copy the code of the project, so that it has its own `.local`."""
    for name in ("ami", "config"):
        shutil.copytree(
            ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "tests")
        )
    shutil.copy(ROOT / "manage.py", target)
    return target


def bare_environment() -> dict[str, str]:
    """Return the environment of a machine without variables for servers and settings."""
    named = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "MEDIA_ROOT"}
    return {name: value for name, value in os.environ.items() if name not in named}


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def database_url() -> str:
    """The URL of the database in use, which is not that of the settings."""
    url = urlsplit(settings.DATABASE_URL)
    return url._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
