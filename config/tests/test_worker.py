"""What becomes of a message whose worker is stopped or killed; with real ones."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import redis
from django.conf import settings

from config.tests.forks import CeleryProcess
from config.tests.long_tasks import wait_for_word, wait_forever

QUEUE = "long"
PREFIX = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
STARTED = f"{PREFIX}started"
ANSWER = f"{STARTED}:answer"

Start: TypeAlias = Callable[..., CeleryProcess]


@pytest.fixture
def client(services: None) -> Iterator[redis.Redis]:
    with redis.from_url(settings.REDIS_URL, socket_timeout=None) as client:  # a test waits for long
        yield client
        client.delete(f"{PREFIX}{QUEUE}", STARTED, ANSWER)


@pytest.fixture
def start(client: redis.Redis, tmp_path: Path) -> Iterator[Start]:
    """Start a worker with two processes, on a queue of its own."""
    workers: list[CeleryProcess] = []

    def start(*, soft_shutdown: float) -> CeleryProcess:
        arguments = ("worker", "--concurrency=2", "--without-gossip", "--without-mingle")
        own = ("--hostname=long@localhost", f"--queues={QUEUE}")
        tasks = "--include=config.tests.long_tasks"
        last = ("--", f"worker.soft_shutdown_timeout={soft_shutdown}")
        worker = CeleryProcess(*arguments, *own, tasks, *last, log=tmp_path / "worker.log")
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()


def started(client: redis.Redis) -> int:
    """Return the process that has started the next task, once it has."""
    item = client.blpop([STARTED], timeout=60)
    assert item is not None
    return int(item[1])


def queued(client: redis.Redis) -> int:
    return client.llen(f"{PREFIX}{QUEUE}")


def test_stopped_worker_gives_its_message_back(start: Start, client: redis.Redis) -> None:
    worker = start(soft_shutdown=0.1)
    wait_forever.apply_async((STARTED,), queue=QUEUE)
    started(client)
    assert worker.stop() == 0
    assert queued(client) == 1


def test_what_ends_within_the_soft_shutdown_is_done(start: Start, client: redis.Redis) -> None:
    worker = start(soft_shutdown=2)
    wait_for_word.apply_async((STARTED,), queue=QUEUE)
    started(client)
    worker.signal(signal.SIGTERM)
    client.rpush(ANSWER, "end")
    assert worker.wait() == 0
    assert queued(client) == 0


def test_message_of_a_killed_process_goes_to_another_one(start: Start, client: redis.Redis) -> None:
    start(soft_shutdown=0.1)
    wait_forever.apply_async((STARTED,), queue=QUEUE)
    first = started(client)
    os.kill(first, signal.SIGKILL)
    assert started(client) != first


def test_hard_time_limit_loses_no_message(start: Start, client: redis.Redis) -> None:
    start(soft_shutdown=0.1)
    wait_forever.apply_async((STARTED,), queue=QUEUE, soft_time_limit=1, time_limit=2)
    first = started(client)
    assert started(client) != first
