"""The CPU time of `manage.py check`, which loads every app and runs every system check."""

import resource
import subprocess
import sys
from statistics import median

from benchmarks import FOLDER
from benchmarks.report import Figure

TITLE = "Start of a command"
ROUNDS = 15
COMMAND = [sys.executable, "manage.py", "check"]


def run(*, quick: bool) -> list[Figure]:
    _seconds()  # the first run may compile modules
    seconds = [_seconds() for _ in range(1 if quick else ROUNDS)]
    return [Figure("manage.py check", median(seconds), "s", at_most=0.85)]


def _seconds() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(COMMAND, cwd=FOLDER.parent, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
