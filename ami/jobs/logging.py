"""A Job's log: a standard logger whose lines become rows."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from ami.base.storable import storable_text
from ami.jobs.models.log import JobLog

logger = logging.getLogger(__name__)

LEVEL_LENGTH = JobLog._meta.get_field("level").max_length


class JobLogHandler(logging.Handler):
    """Appends each record as a :class:`JobLog` row; never raises."""

    def __init__(self, job_id: int) -> None:
        super().__init__()
        self.job_id = job_id
        self._lines: list[JobLog] = []
        self._held = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level, message = record.levelname[:LEVEL_LENGTH], storable_text(self.format(record))
        except Exception:
            self.handleError(record)
            return
        self._lines.append(JobLog(job_id=self.job_id, level=level, message=message))
        if not self._held:
            self._write()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep lines back while a transaction is open, so that its rollback loses none."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._write()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            # A savepoint, so that a failure leaves the caller's transaction usable.
            with transaction.atomic():
                JobLog.objects.bulk_create(lines)
        except Exception:
            logger.exception("%d log lines of Job %d are lost.", len(lines), self.job_id)


class JobLogger(logging.Logger):
    """The logger of one Job. Its records go to the Job's log and on to `ami.jobs`."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"ami.jobs.{job_id}", logging.DEBUG)
        self.parent = logging.getLogger("ami.jobs")
        self.rows = JobLogHandler(job_id)
        self.addHandler(self.rows)
