"""The process that starts one embedded server and stops it when its last user has ended.

`config.devservers.embedded` starts it, and describes the locks that both use.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from config.devservers.embedded import READY
from config.devservers.servers import (
    Postgres,
    Redis,
    ScratchPostgres,
    Server,
    ServiceError,
    as_owner,
    try_lock,
)

START_SECONDS = 60
STOP_SECONDS = 20
WATCH_SECONDS = 0.05
KINDS: dict[str, type[Server]] = {
    kind.__name__: kind for kind in (Postgres, ScratchPostgres, Redis)
}


def keep(server: Server, *, starting: int, keeper: int) -> None:
    """Start the server, report READY or an error, and stop the server after its last user."""
    try:
        try:
            start(server)
        except ServiceError as error:
            _answer(str(error))
            return
        _answer(READY)
        os.close(starting)
        watch(server)
    finally:
        stop(server)
        # Release this before the lock of the users, so that the next user does not find this
        # keeper.
        os.close(keeper)


def start(server: Server) -> None:
    """Start the server, or adopt the server of a killed keeper; returns when it answers."""
    deadline = time.monotonic() + START_SECONDS
    spawned = False
    while not server.answers():
        lock = server.open_lock("server")
        try:
            if try_lock(lock):
                if spawned:
                    raise ServiceError(_why_not(server))
                server.prepare()
                _spawn(server, lock)
                spawned = True
        finally:
            os.close(lock)
        if time.monotonic() > deadline:
            raise ServiceError(f"The embedded {server.name} does not answer; see {server.log}.")
        time.sleep(0.02)


def watch(server: Server) -> None:
    """Return when the last user has ended, or when the server has died.

    In the second case the keeper exits, and the next user starts both. A server that the keeper
    adopted is no child of it, so no signal would tell of its death.
    """
    users = server.open_lock("users")
    running = server.open_lock("server")
    while not try_lock(users) and not try_lock(running):
        time.sleep(WATCH_SECONDS)
    os.close(running)


def stop(server: Server) -> None:
    """Stop the server, first gracefully; returns when all its processes have ended."""
    lock = server.open_lock("server")
    for signum in (server.stop_signal, signal.SIGKILL):
        if not try_lock(lock):
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(os.pread(lock, 20, 0)), signum)
        deadline = time.monotonic() + STOP_SECONDS
        while not try_lock(lock) and time.monotonic() < deadline:
            time.sleep(0.02)
    os.close(lock)


def _spawn(server: Server, lock: int) -> None:
    log = server.open(server.log)
    os.ftruncate(log, 0)
    process = subprocess.Popen(
        as_owner(server.command(), server.top),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(lock,),
        start_new_session=True,
    )
    os.close(log)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(process.pid).encode(), 0)


def _why_not(server: Server) -> str:
    lines = [line.strip() for line in server.log.read_text(errors="replace").splitlines()]
    reasons = [line for line in lines if "FATAL" in line or "rror" in line] or lines or ["no log"]
    return f"The embedded {server.name} did not start: {reasons[-1]} (see {server.log})."


def _answer(text: str) -> None:
    """Send `text` to the waiting user, and close the pipe, which ends the user's read."""
    with suppress(BrokenPipeError):  # the user was interrupted
        os.write(1, text.encode())
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (1, 2):
        os.dup2(null, standard)


def main(kind: str, top: str, starting: str, keeper: str) -> None:
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    keep(KINDS[kind](Path(top)), starting=int(starting), keeper=int(keeper))


if __name__ == "__main__":
    main(*sys.argv[1:])
