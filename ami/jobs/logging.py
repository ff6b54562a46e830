"""A Job's log: a standard logger whose records become rows."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import connection, transaction

from ami.base.storable import storable_text
from ami.jobs.models.log import JobLog

logger = logging.getLogger(__name__)

LEVEL_LENGTH = JobLog._meta.get_field("level").max_length
BULK = 1_000
BULK_SECONDS = 1.0
# The most lines to hold back while a transaction is open that may be rolled back.
MOST_KEPT = 20_000


class JobLogHandler(logging.Handler):
    """Writes each record of at least `JOB_LOG_LEVEL` as a :class:`JobLog` row.

    It never raises an exception, except for the time limit of a task, which may occur anywhere.
    """

    def __init__(self, job_id: int) -> None:
        super().__init__(settings.JOB_LOG_LEVEL)
        self.job_id = job_id
        self._lines: list[JobLog] = []
        self._held = self._bulk = False
        self._written = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level, message = record.levelname[:LEVEL_LENGTH], storable_text(self.format(record))
        except SoftTimeLimitExceeded:
            raise
        except Exception:
            self.handleError(record)
            return
        self._lines.append(JobLog(job_id=self.job_id, level=level, message=message))
        if self._is_due():
            self._write()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold back lines while a transaction is open, so that its rollback loses none."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._write()

    @contextmanager
    def in_bulk(self) -> Iterator[None]:
        """Write many lines at once: up to 1,000, or those of one second."""
        self._bulk = True
        try:
            yield
        finally:
            self._bulk = False
            self.flush()

    def flush(self) -> None:
        """Write the lines that are held back, on the connection of this thread."""
        with self.lock:  # type: ignore[union-attr]
            self._write()

    def _is_due(self) -> bool:
        if self._held:
            return False
        if not self._bulk:
            return True
        if connection.in_atomic_block:
            return len(self._lines) >= MOST_KEPT
        return len(self._lines) >= BULK or time.monotonic() - self._written >= BULK_SECONDS

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            # A savepoint, so that a failure leaves the caller's transaction usable.
            with transaction.atomic():
                JobLog.objects.bulk_create(lines, batch_size=BULK)
        except SoftTimeLimitExceeded:
            self._lines[:0] = lines
            raise
        except Exception:
            logger.exception(
                "%d log lines of Job %d could not be written.", len(lines), self.job_id
            )
        self._written = time.monotonic()


class JobLogger(logging.Logger):
    """The logger of one Job. Its records go to the Job's log and to the logger `ami.jobs`."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"ami.jobs.{job_id}", logging.DEBUG)
        self.parent = logging.getLogger("ami.jobs")
        self.rows = JobLogHandler(job_id)
        self.addHandler(self.rows)
