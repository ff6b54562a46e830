"""The processes that the demo starts, watches and stops."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import CommandError

STOP_SECONDS = 15
PR_SET_PDEATHSIG = 1  # of Linux's prctl()


class Child:
    """A process in a session of its own, so that Ctrl-C reaches only the demo.

    It does not outlive the demo, however the demo ends.
    """

    def __init__(self, name: str, *arguments: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 -- the demo has one thread
            )

    def check(self) -> None:
        """Raise CommandError if it has ended."""
        if self.process.poll() is not None:
            lines = self.log.read_text(errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "it wrote no output")
            raise CommandError(f"The {self.name} process ended: {last} (see {self.log})")

    def stop(self) -> None:
        """Stop it and the processes that it started; return when all have ended."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def interrupt_once(*_: Any) -> NoReturn:
    """Handle SIGINT and SIGTERM: the first one interrupts, later ones do not stop the cleanup."""
    _ignore_interrupts()
    raise KeyboardInterrupt


def _ignore_interrupts() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: None)


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def running(commands: dict[str, tuple[str, ...]], *, folder: Path) -> Iterator[list[Child]]:
    """Run the named Python commands while the block runs; their logs go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    children: list[Child] = []
    try:
        for name, arguments in commands.items():
            children.append(Child(name, *arguments, folder=folder))
        yield children
    finally:
        _ignore_interrupts()
        for child in reversed(children):
            child.stop()
