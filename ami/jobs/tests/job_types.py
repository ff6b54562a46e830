"""Job types for tests, registered while a test runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from ami.base.registry import Registry
from ami.jobs.engine import parts, runner
from ami.jobs.engine.registry import JOB_TYPES, WorkFactory
from ami.jobs.engine.work import Planned, PlannedWork, WholeWork
from ami.jobs.models import Job, JobState
from ami.jobs.states import PartState

KEY = "test_type"


class Killed(BaseException):
    """A worker ends during its work.

    An uncaught KeyboardInterrupt would end the whole test session.
    """


class Whole(WholeWork):
    """Work that is one call."""

    key = KEY
    name = "Stage"

    def __init__(self, job: Job, run: Callable[[Job], None]) -> None:
        super().__init__()
        self.job = job
        self._run = run

    def run(self) -> None:
        self._run(self.job)


class Idle(PlannedWork):
    """Work whose batches do nothing."""

    key = KEY
    name = "Stage"

    def __init__(self, job: Job) -> None:
        super().__init__()

    def plan(self) -> Sequence[Planned]:
        return []

    def work_on(self, batch: Planned) -> None:
        pass


def job_type(run: Callable[[Job], None]) -> AbstractContextManager[None]:
    """Register `run` as the job type "test_type", and remove it afterwards."""
    return work_type(lambda job: Whole(job, run))


@contextmanager
def work_type(make: WorkFactory) -> Iterator[None]:
    """Register work as the job type "test_type", and remove it afterwards."""
    JOB_TYPES.register(KEY, make)
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


def hand_out(job: Job) -> None:
    """Have a worker plan a queued Job and queue its parts; none of them begins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "walk", lambda part, work, **how: parts.let_go(part))
        runner.run(job.pk, task_id=job.task_id or None)


def run_to_end(job: Job) -> Job:
    """Run a queued Job as workers do, one part after the other; return it in its final state."""
    runner.run(job.pk)
    for part in job.parts.filter(state=PartState.QUEUED).order_by("number"):
        runner.run_part(part.pk, task_id=part.task_id)
    job.refresh_from_db()
    return job
