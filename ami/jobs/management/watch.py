"""Wait for a Job at a terminal, with a progress bar, notices and Ctrl-C."""

import getpass
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from ami.base.audit import Kind, record
from ami.base.commands import FAILED
from ami.jobs.models import Job
from ami.jobs.states import JobState
from ami.jobs.summary import Summary, summary_of
from ami.jobs.watch.waiting import what_it_waits_for
from ami.users.models import User

POLL_SECONDS = 0.5
BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}{postfix}"


def operator_name() -> str:
    """The operating system user, for the log of a Job; in a container it may have no name."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"user {os.getuid()}"
    return f"{name} at the command line"


@contextmanager
def counted_interrupts() -> Iterator[list[int]]:
    """Collect presses of Ctrl-C instead of raising KeyboardInterrupt in the middle of a query."""
    pressed: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, former)


def watch(
    job: Job, interrupts: list[int], *, timeout: float | None = None, user: User | None = None
) -> None:
    """Wait until `job` has ended, or for `timeout` seconds.

    The first of `interrupts` cancels the Job, the second stops waiting. What the Job waits for is
    written to stderr each time it changes. The audit records that `user` canceled the Job. Raises
    CommandError if the Job is deleted.
    """
    told, asked = "", False
    deadline = time.monotonic() + (inf if timeout is None else timeout)
    with tqdm(bar_format=BAR, disable=not sys.stderr.isatty(), file=sys.stderr) as bar:
        while not job.is_final and len(interrupts) < 2 and time.monotonic() < deadline:
            summary = summary_of(job)
            if interrupts and not asked:
                asked = True
                if job.cancel(by=operator_name()):
                    message = f"Canceled by {operator_name()}."
                    record([job], kind=Kind.CANCEL, user=user, message=message)
            elif not bar.disable:
                _draw(bar, job, summary)
            if (notice := _notice(job, summary)) != told:
                told = notice
                tqdm.write(notice, file=sys.stderr) if notice else None
            time.sleep(POLL_SECONDS)
            _refresh(job)
        if not bar.disable:
            _draw(bar, job, summary_of(job))


def _refresh(job: Job) -> None:
    try:
        job.refresh_from_db()
    except Job.DoesNotExist:
        raise CommandError(f"Job {job.pk} was deleted.", returncode=FAILED) from None


def _notice(job: Job, summary: Summary) -> str:
    """Why the Job makes no progress; empty if it does."""
    if job.status == JobState.PAUSED:
        return f"Job {job.pk} is paused; `manage.py job resume {job.pk}` continues it."
    if job.status == JobState.CANCELING:
        return f"Job {job.pk} stops after its current batches; press Ctrl-C again to stop waiting."
    return what_it_waits_for(job, summary)


def _draw(bar: Any, job: Job, summary: Summary) -> None:
    if summary.rows_total:
        bar.total, bar.n, bar.unit = summary.rows_total, summary.rows_done, "rows"
    else:
        bar.total, bar.n, bar.unit = 100, round(job.progress.fraction * 100), "%"
    left = summary.seconds_left
    pace = f"{summary.rate:,.0f} rows/s, {tqdm.format_interval(left)} left" if left else ""
    bar.set_postfix_str(pace)
