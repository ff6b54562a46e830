"""Embedded PostgreSQL and Redis, for machines without configured servers.

Other modules call only `hold(*urls)`. Each server has a keeper, a separate process that starts the
server, waits until its last user has ended, and stops it. The processes coordinate only through
kernel locks, which are released even after `kill -9`:

    users     shared by every user; the keeper takes it exclusively to stop, so that new users wait
    starting  held while a user looks for a keeper, until the server answers
    keeper    held by the keeper as long as it runs
    server    held by the server itself; the file contains its process id

Importing this module does nothing.
"""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from config.devservers.servers import (
    REMEDY,
    VERSION,
    Postgres,
    Redis,
    ScratchPostgres,
    Server,
    ServiceError,
    try_lock,
)

ROOT = Path(__file__).resolve().parents[2]
READY = "ready"
ATTEMPTS = 20
LEAVE_SECONDS = 30


class Holder:
    """This process as a user of one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._users: int | None = None

    def hold(self) -> None:
        """Keep the server running while this process, or a fork of it, lives."""
        if self._users is not None:
            return
        try:
            self.server.make_folders()
            users = self.server.open_lock("users")
            fcntl.flock(users, fcntl.LOCK_SH)
            starting = self.server.open_lock("starting")
            fcntl.flock(starting, fcntl.LOCK_EX)
        except OSError as error:
            raise ServiceError(
                f"The embedded {self.server.name} cannot use {error.filename or self.server.top}: "
                f"{error.strerror}; run as the user who owns it, or {REMEDY}."
            ) from None
        self._users = users
        try:
            try:
                self._ensure_server(starting)
            finally:
                os.close(starting)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Stop using the server before this process ends; the last user waits until it stops."""
        if self._users is None:
            return
        # This is the last user if it gets the lock exclusively, or if the keeper has taken the
        # lock.
        last = try_lock(self._users) or not try_lock(self._users, shared=True)
        os.close(self._users)
        self._users = None
        if last:
            self._wait_for_keeper()

    def _wait_for_keeper(self) -> None:
        keeper = self.server.open_lock("keeper")
        deadline = time.monotonic() + LEAVE_SECONDS
        while not try_lock(keeper) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.close(keeper)

    def _ensure_server(self, starting: int) -> None:
        for _ in range(ATTEMPTS):
            self._ensure_keeper(starting)
            if self.server.answers():
                return
            time.sleep(0.1)
        raise ServiceError(
            f"The embedded {self.server.name} is running but does not answer: stop the processes "
            f"that use it, and see {self.server.log}."
        )

    def _ensure_keeper(self, starting: int) -> None:
        keeper = self.server.open_lock("keeper")
        try:
            if try_lock(keeper):
                self._start_keeper(starting, keeper)
        finally:
            os.close(keeper)

    def _start_keeper(self, starting: int, keeper: int) -> None:
        """Start the keeper with both locks; returns when it has reported READY."""
        arguments = (type(self.server).__name__, str(self.server.top), str(starting), str(keeper))
        answer = subprocess.run(
            [sys.executable, "-m", "config.devservers.keeper", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=(starting, keeper),
            start_new_session=True,
            text=True,
            check=False,
        ).stdout
        if answer != READY:
            raise ServiceError(answer or f"The keeper of {self.server.name} died while starting.")


POSTGRES = Postgres(ROOT / ".local")
REDIS = Redis(ROOT / ".local")
TEST = ROOT / f".local-test{os.environ.get(VERSION, '')}"
TEST_POSTGRES = ScratchPostgres(TEST)
TEST_REDIS = Redis(TEST)
HOLDERS = tuple(Holder(server) for server in (POSTGRES, REDIS, TEST_POSTGRES, TEST_REDIS))


def hold(*urls: str) -> None:
    """Keep the embedded servers that `urls` name running as long as this process runs.

    Returns when they answer. Raises ServiceError if one cannot start.
    """
    for holder in HOLDERS:
        if holder.server.url in urls:
            holder.hold()


def release() -> None:
    """Release the servers that `hold` keeps, before this process ends."""
    for holder in HOLDERS:
        holder.release()
