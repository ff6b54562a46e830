"""Messages whose worker is stopped or killed, with real workers."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest
import redis
from django.conf import settings

from config.tests.forks import CeleryProcess
from config.tests.long_tasks import wait_for_word, wait_forever

PREFIX = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
STARTED = f"{PREFIX}started"
ANSWER = f"{STARTED}:answer"

Start: TypeAlias = Callable[..., CeleryProcess]


@pytest.fixture
def queue() -> str:
    """A separate queue: Redis may deliver a message to a worker that was just killed."""
    return f"long-{uuid4()}"


@pytest.fixture
def client(services: None, queue: str) -> Iterator[redis.Redis]:
    with redis.from_url(settings.REDIS_URL, socket_timeout=None) as client:  # a test waits for long
        yield client
        client.delete(f"{PREFIX}{queue}", STARTED, ANSWER)


@pytest.fixture
def start(client: redis.Redis, queue: str, tmp_path: Path) -> Iterator[Start]:
    """Start a worker with two processes, on the test's queue."""
    workers: list[CeleryProcess] = []

    def start(*, soft_shutdown: float) -> CeleryProcess:
        arguments = ("worker", "--concurrency=2", "--without-gossip", "--without-mingle")
        own = ("--hostname=long@localhost", f"--queues={queue}")
        tasks = "--include=config.tests.long_tasks"
        last = ("--", f"worker.soft_shutdown_timeout={soft_shutdown}")
        worker = CeleryProcess(*arguments, *own, tasks, *last, log=tmp_path / "worker.log")
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()


def started(client: redis.Redis) -> int:
    """Wait until the next task starts; return its process."""
    item = client.blpop([STARTED], timeout=60)
    assert item is not None
    return int(item[1])


def queued(client: redis.Redis, queue: str) -> int:
    return client.llen(f"{PREFIX}{queue}")


def test_stopped_worker_gives_its_message_back(
    start: Start, client: redis.Redis, queue: str
) -> None:
    worker = start(soft_shutdown=0.1)
    wait_forever.apply_async((STARTED,), queue=queue)
    started(client)
    assert worker.stop() == 0
    assert queued(client, queue) == 1


def test_what_ends_within_the_soft_shutdown_is_done(
    start: Start, client: redis.Redis, queue: str
) -> None:
    worker = start(soft_shutdown=2)
    wait_for_word.apply_async((STARTED,), queue=queue)
    started(client)
    worker.signal(signal.SIGTERM)
    client.rpush(ANSWER, "end")
    assert worker.wait() == 0
    assert queued(client, queue) == 0


def test_message_of_a_killed_process_goes_to_another_one(
    start: Start, client: redis.Redis, queue: str
) -> None:
    start(soft_shutdown=0.1)
    wait_forever.apply_async((STARTED,), queue=queue)
    first = started(client)
    os.kill(first, signal.SIGKILL)
    assert started(client) != first


def test_hard_time_limit_loses_no_message(start: Start, client: redis.Redis, queue: str) -> None:
    start(soft_shutdown=0.1)
    wait_forever.apply_async((STARTED,), queue=queue, soft_time_limit=1, time_limit=2)
    first = started(client)
    assert started(client) != first
