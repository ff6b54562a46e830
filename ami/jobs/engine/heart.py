"""The heartbeat of a run that may not report for hours."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from django.db import Error, connection
from django.utils import timezone

from ami.jobs.models import JobPart

logger = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
# After this time without a heartbeat, the process of a run is lost or suspended.
SILENT_SECONDS = 60.0
JOIN_SECONDS = 5


@contextmanager
def beating(part: JobPart) -> Iterator[None]:
    """Write a heartbeat every 10 s while this process holds `part`.

    Each heartbeat also writes the pending log lines.
    """
    over = Event()
    heart = Thread(target=_beat, args=(part, over), name=f"heart of {part}", daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join(JOIN_SECONDS)


def _beat(part: JobPart, over: Event) -> None:
    held = JobPart.objects.filter(pk=part.pk, claim_token=part.claim_token)
    try:
        while not over.wait(BEAT_SECONDS):
            try:
                if not held.update(heartbeat_at=timezone.now()):
                    return
                part.job.logger.rows.flush()
            except Error:  # the database may be back at the next beat
                logger.warning("A heartbeat of %s could not be written.", part, exc_info=True)
                connection.close()
    finally:
        connection.close()
