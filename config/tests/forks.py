"""Celery's commands for tests, each forked from a process that has imported what they need."""

import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from celery.__main__ import main

FORKS = multiprocessing.get_context("forkserver")
# What takes a worker most of its start, and reads no settings.
FORKS.set_forkserver_preload(
    [
        "PIL.Image",
        "celery.apps.worker",
        "celery.bin.celery",
        "celery.concurrency.prefork",
        "django.contrib.admin",
        "django.contrib.postgres.fields",
        "django.db.backends.postgresql.base",
        "kombu.transport.redis",
        "pydantic",
        "pytest",
        "scipy.optimize",
    ]
)


class CeleryProcess:
    """`celery -A config …` in a separate process group, with its output in `log`.

    `named` is added to the environment of this process.
    """

    def __init__(self, *arguments: str, log: Path, **named: str) -> None:
        log.touch()
        self.log = log
        self._process = FORKS.Process(
            target=_run, args=(arguments, log, os.environ | named), daemon=True
        )
        self._process.start()

    def is_running(self) -> bool:
        return self._process.is_alive()

    def signal(self, signum: signal.Signals) -> None:
        assert self._process.pid
        os.kill(self._process.pid, signum)

    def children(self) -> list[int]:
        """The ids of the processes of its pool."""
        pid = self._process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self) -> int | None:
        """Ask it to stop, as a deployment does; return its exit code."""
        self._process.terminate()
        return self.wait()

    def wait(self) -> int | None:
        """Return its exit code, or None if it has not ended after a minute."""
        self._process.join(60)
        return self._process.exitcode

    def kill(self) -> None:
        """Kill it with all of its processes, including suspended ones."""
        assert self._process.pid
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()


def _run(arguments: tuple[str, ...], log: Path, environment: dict[str, str]) -> None:
    os.setsid()
    with log.open("ab") as output:
        for standard in (1, 2):
            os.dup2(output.fileno(), standard)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["celery", "-A", "config", *arguments]
    main()
