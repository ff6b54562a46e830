"""The transaction in which a Job works off a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from ami.jobs.journal import journaled
from ami.jobs.models import Job


@contextmanager
def job_batch(job: Job) -> Iterator[None]:
    """One batch: all of its rows, its journal and its progress, or none of them.

    Log lines written meanwhile survive a rollback. Raises JobCanceledError, before anything is
    done, where somebody has asked the Job to stop.
    """
    job.raise_if_canceled()
    progress = deepcopy(job.progress)
    try:
        with job.logger.rows.held(), journaled(job):
            yield
    except BaseException:
        job.progress = progress
        raise
