#!/usr/bin/env python
"""Django's command line; embedded servers are used if no others are configured."""

import gc
import os
import signal
import sys
import warnings
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand

NEED_NO_SERVER = {"check", "collectstatic", "diffsettings", "help", "makemigrations"}
NOBODY_READS = 128 + signal.SIGPIPE


class OutputError(Exception):
    """The output of a command cannot be written; the message is the reason, such as a full disk."""


class Output:
    """The standard output, whose errors a command cannot mistake for those of another file.

    The last flush raises an error again, even if its writer has ignored it.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._fault: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as fault:
            raise self._told(fault) from None

    def flush(self) -> None:
        try:
            if self._fault:
                raise self._fault
            self._stream.flush()
        except OSError as fault:
            raise self._told(fault) from None

    def discard(self) -> None:
        """Discard the rest of the output, because Python flushes once more at its end."""
        self._fault = None
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def _told(self, fault: OSError) -> Exception:
        self._fault = fault
        return fault if isinstance(fault, BrokenPipeError) else OutputError(fault.strerror)


class CommandLine(ManagementUtility):
    """Django's own, which starts the servers of development before a command that needs them."""

    def execute(self) -> None:
        # What loading creates stays in use. To search it for garbage takes a tenth of the time.
        gc.disable()
        super().execute()

    def fetch_command(self, subcommand: str) -> BaseCommand:
        gc.freeze()
        gc.enable()
        needed = not NEED_NO_SERVER.intersection(self.argv[1:2]) and "--help" not in self.argv
        if needed and settings.HOLD_SERVICES:
            settings.HOLD_SERVICES(settings.DATABASE_URL, settings.REDIS_URL)
        return super().fetch_command(subcommand)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    # makemigrations also looks at the database, where one runs.
    warnings.filterwarnings("ignore", "Got an error checking a consistent migration history")
    _open_what_is_closed()
    output = Output(sys.stdout)
    sys.stdout = output
    try:
        try:
            CommandLine(sys.argv).execute()
        finally:
            output.flush()
    except BrokenPipeError:
        output.discard()
        sys.exit(NOBODY_READS)
    except OutputError as fault:
        output.discard()
        sys.exit(f"The output cannot be written: {fault}.")
    except ImproperlyConfigured as error:
        sys.exit(str(error))


def _open_what_is_closed() -> None:
    """Let commands write to the null device if their caller has closed stdout or stderr."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


if __name__ == "__main__":
    main()
