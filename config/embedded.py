"""Embedded PostgreSQL and Redis, for machines that name no others.

`hold(*urls)` is all that others call. Each server has a keeper, a process of its own that starts
it, waits until the last user has gone, and stops it. All that these processes know of each other
are kernel locks, which a `kill -9` drops too:

    users     shared by every user; the keeper takes it alone to stop, so that new users wait
    starting  held from the question "is there a keeper?" until the server answers
    keeper    held by the keeper as long as it lives
    server    held by the server itself; the file says its process id

Importing this module does nothing.
"""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from config.servers import (
    REMEDY,
    VERSION,
    Postgres,
    Redis,
    ScratchPostgres,
    Server,
    ServiceError,
    try_lock,
)

ROOT = Path(__file__).resolve().parents[1]
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
        try:
            self._ensure_server(starting)
        except BaseException:
            os.close(users)
            raise
        finally:
            os.close(starting)
        self._users = users

    def release(self) -> None:
        """Leave before this process ends; its last user returns when the server has stopped."""
        if self._users is None:
            return
        # Alone if it can have the lock for itself, or if the keeper has taken it in between.
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
            f"The embedded {self.server.name} runs but does not answer: stop the processes that "
            f"use it, and see {self.server.log}."
        )

    def _ensure_keeper(self, starting: int) -> None:
        keeper = self.server.open_lock("keeper")
        try:
            if try_lock(keeper):
                self._start_keeper(starting, keeper)
        finally:
            os.close(keeper)

    def _start_keeper(self, starting: int, keeper: int) -> None:
        """Start the keeper with both locks; returns when it has said READY."""
        arguments = (type(self.server).__name__, str(self.server.top), str(starting), str(keeper))
        answer = subprocess.run(
            [sys.executable, "-m", "config.keeper", *arguments],
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
    """Keep each embedded server that one of `urls` names running while this process lives.

    Returns once they answer. Raises ServiceError where one cannot start.
    """
    for holder in HOLDERS:
        if holder.server.url in urls:
            holder.hold()


def release() -> None:
    """Let go of what `hold` keeps, before this process ends."""
    for holder in HOLDERS:
        holder.release()
