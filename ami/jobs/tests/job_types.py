"""Job types for tests, registered while a test runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ami.base.registry import Registry
from ami.jobs.models import Job, JobState
from ami.jobs.registry import JOB_TYPES, JobRunner

KEY = "test_type"


@contextmanager
def job_type(run: JobRunner) -> Iterator[None]:
    """Register `run` as the job type "test_type", and forget it afterwards."""
    JOB_TYPES.register(KEY, run)
    try:
        yield
    finally:
        forget(JOB_TYPES, KEY)


def forget(registry: Registry[Any], key: str) -> None:
    registry._entries.pop(key)


def make_job(**fields: Any) -> Job:
    """A queued Job of the test type."""
    return Job.objects.create(
        **{"name": "A job", "job_type_key": KEY, "status": JobState.PENDING, **fields}
    )
