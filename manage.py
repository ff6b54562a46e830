#!/usr/bin/env python
"""Django's command line, on embedded services where no others are named."""

import os
import signal
import sys
import warnings

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand

from config import embedded
from config.servers import ServiceError

NEED_NO_SERVER = {"check", "collectstatic", "diffsettings", "help", "makemigrations"}
NOBODY_READS = 128 + signal.SIGPIPE


class CommandLine(ManagementUtility):
    """Django's own, holding the embedded services while a command runs that needs them."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        if not NEED_NO_SERVER.intersection(self.argv[1:2]) and "--help" not in self.argv:
            embedded.hold(settings.DATABASE_URL, settings.REDIS_URL)
        return super().fetch_command(subcommand)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    # makemigrations also looks at the database, where one runs.
    warnings.filterwarnings("ignore", "Got an error checking a consistent migration history")
    _open_what_is_closed()
    try:
        try:
            CommandLine(sys.argv).execute()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
        sys.exit(NOBODY_READS)
    except (ImproperlyConfigured, ServiceError) as error:
        sys.exit(str(error))


def _open_what_is_closed() -> None:
    """Let commands write, to nowhere, where their caller has closed stdout or stderr."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


if __name__ == "__main__":
    main()
