"""What becomes of a message whose worker is stopped or killed; with real ones."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from django.conf import settings

from config.tests.long_tasks import wait_for_word, wait_forever

QUEUE = "long"
STARTED = "test:started"
ANSWER = f"{STARTED}:answer"


@dataclass
class Worker:
    """A worker with two processes on a queue of its own."""

    process: subprocess.Popen[bytes]
    client: redis.Redis

    def started(self) -> int:
        """Return the process that has started the next task, once it has."""
        item = self.client.blpop([STARTED], timeout=60)
        assert item is not None
        return int(item[1])

    def queued(self) -> int:
        return self.client.llen(f"test:{QUEUE}")


def _client() -> redis.Redis:
    return redis.from_url(settings.REDIS_URL, socket_timeout=None)  # a test waits for long


@pytest.fixture
def worker(services: None, tmp_path: Path) -> Iterator[Worker]:
    arguments = ("worker", "--concurrency=2", "--without-gossip", "--without-mingle")
    names = ("--hostname=long@localhost", f"--queues={QUEUE}", "--include=config.tests.long_tasks")
    last = ("--", "worker.soft_shutdown_timeout=1")
    with (tmp_path / "worker.log").open("w") as log, _client() as client:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "config", *arguments, *names, *last],
            cwd=settings.ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            yield Worker(process, client)
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
                client.delete(f"test:{QUEUE}", STARTED, ANSWER)


def test_stopped_worker_gives_its_message_back(worker: Worker) -> None:
    wait_forever.apply_async((STARTED,), queue=QUEUE)
    worker.started()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(60) == 0
    assert worker.queued() == 1


def test_what_ends_within_the_soft_shutdown_is_done(worker: Worker) -> None:
    wait_for_word.apply_async((STARTED,), queue=QUEUE)
    worker.started()
    worker.process.send_signal(signal.SIGTERM)
    worker.client.rpush(ANSWER, "end")
    assert worker.process.wait(60) == 0
    assert worker.queued() == 0


def test_message_of_a_killed_process_goes_to_another_one(worker: Worker) -> None:
    wait_forever.apply_async((STARTED,), queue=QUEUE)
    first = worker.started()
    os.kill(first, signal.SIGKILL)
    assert worker.started() != first


def test_hard_time_limit_loses_no_message(worker: Worker) -> None:
    wait_forever.apply_async((STARTED,), queue=QUEUE, soft_time_limit=1, time_limit=2)
    first = worker.started()
    assert worker.started() != first
