"""Celery simulated in this process: messages in a queue, and threads as workers."""

import random
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Condition
from typing import Any

import pytest
from django.db import Error, connection

from ami.jobs.engine import runner
from ami.jobs.engine.faults import is_transient
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.service import create_jobs
from ami.jobs.states import FINAL, PartState
from ami.jobs.tests.job_types import hand_out
from ami.main.models import SourceImageCollection
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.tests.methods import PartingTask
from config.tests.tally import note, present_test

TASKS: dict[str, Callable[..., None]] = {
    "ami.jobs.tasks.run_job": runner.run,
    "ami.jobs.tasks.run_part": runner.run_part,
}
APART_SECONDS = 0.004


class Broker:
    """Keeps published messages until `work` executes them; `sent` holds all messages."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self._waiting: deque[tuple[str, int, str]] = deque()
        self._busy = 0
        self._changed = Condition()

    def send_task(self, name: str, args: list[int], task_id: str) -> None:
        with self._changed:
            self.sent.append((name.rpartition(".")[2], args[0]))
            self._waiting.append((name, args[0], task_id))
            self._changed.notify()

    def forget(self) -> None:
        """Discard the messages, because the test runs their tasks itself."""
        self._waiting.clear()

    def work(self, workers: int = 1) -> None:
        """Let threads work until no message is left and none can be published any more."""
        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(self._worker) for _ in range(workers)]:
                done.result()

    def _worker(self) -> None:
        try:
            self.work_here()
        finally:
            connection.close()

    def work_here(self) -> None:
        """Work as one of the threads does, in this thread and with its connection."""
        while message := self._next():
            try:
                TASKS[message[0]](message[1], task_id=message[2])
            except Error as error:
                if not is_transient(error):
                    raise
                connection.close()
                self.send_task(message[0], [message[1]], message[2])
            finally:
                self._done()

    def _next(self) -> tuple[str, int, str] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._busy)
            if not self._waiting:
                return None
            self._busy += 1
            return self._waiting.popleft()

    def _done(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()


def played_broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr("ami.jobs.models.part.current_app", broker)
    return broker


def race(*contenders: Callable[[], Any]) -> list[Any]:
    """Call all at about the same time, each in its own thread; return their results."""
    note(f"raced: {present_test().rpartition('::test_')[2].partition('[')[0].replace('_', ' ')}")
    barrier = Barrier(len(contenders))

    def run(contender: Callable[[], Any]) -> Any:
        try:
            apart = random.uniform(0, APART_SECONDS)
            barrier.wait()
            time.sleep(apart)
            return contender()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(contenders)) as pool:
        return list(pool.map(run, contenders))


def queued(
    task_cls: type[BasePostProcessingTask],
    capture_set: SourceImageCollection,
    *,
    dry_run: bool = False,
    **options: Any,
) -> Job:
    """A Job of a method whose message is in the broker."""
    config = {"source_image_collection_id": capture_set.pk, **options}
    params = {"task": task_cls.key, "config": config}
    job = Job(name=task_cls.name, job_type_key=JOB_TYPE, params=params, dry_run=dry_run)
    return create_jobs([job])[0]


def handed_out(broker: Broker, scope: SourceImageCollection) -> tuple[Job, list[JobPart]]:
    """A Job whose parts are queued and whose messages are taken; no part has begun."""
    job = queued(PartingTask, scope)
    broker.forget()
    hand_out(job)
    broker.forget()
    return job, list(job.parts.order_by("number"))


def run_part(part: JobPart) -> None:
    runner.run_part(part.pk, task_id=part.task_id)


def fresh(job: Job) -> Job:
    """The present state of the Job, as a new instance."""
    return Job.objects.get(pk=job.pk)


def assert_sound(job: Job) -> Job:
    """Assert that the Job has ended completely, or that a worker will continue it."""
    job = fresh(job)
    running = job.parts.filter(state=PartState.RUNNING).exists()
    assert not running, "Nobody works any more, yet a part is running."
    if job.status in FINAL:
        assert job.finished_at
        assert job.outcome
        assert (job.admitted_at, job.waits_for) == (None, None)
        assert {stage.status for stage in job.progress.stages} <= {job.status}
    else:
        assert job.outcome == ""
        assert job.finished_at is None
        waits = job.status == JobState.PENDING and job.waits_for and not job.waits_for.is_final
        assert job.status == JobState.PAUSED or waits, f"The Job is stuck as {job.status}."
    return job
