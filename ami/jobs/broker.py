"""What the broker holds: messages that wait in its queues, and messages that a worker has taken."""

import json
from collections.abc import Iterator, Set
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

from celery import current_app
from redis import Redis

CHUNK = 1_000


class Held(NamedTuple):
    """Task ids, by where their messages are."""

    waiting: set[str]
    taken: set[str]


class Store(NamedTuple):
    """The broker's own Redis: its client, its lists of messages, and its hash of taken ones."""

    client: "Redis"
    lists: list[str]
    taken: str


def find(task_ids: Set[str]) -> Held:
    """Which of `task_ids` the broker holds, in memory that its queues leave alone.

    A message that moves meanwhile may be overlooked: look twice. Raises what the transport raises
    where the broker does not answer.
    """
    if not task_ids:
        return Held(set(), set())
    with _store() as store:
        waiting = {pk for key in store.lists for pk in _ids(_waiting(store.client, key), task_ids)}
        return Held(waiting, set(_ids(_taken(store), task_ids)))


def depth() -> int:
    """How many messages wait in all queues."""
    with _store() as store:
        return sum(int(store.client.llen(key)) for key in store.lists)


@contextmanager
def _store() -> Iterator[Store]:
    """Open what kombu reads and writes. Its client prefixes the keys of some commands only."""
    with current_app.connection_for_read() as connection:
        channel: Any = connection.channel()
        with channel.conn_or_acquire() as client:
            prefix = channel.global_keyprefix
            lists = [
                f"{prefix}{channel._q_for_pri(queue, priority)}"
                for queue in current_app.amqp.queues
                for priority in channel.priority_steps
            ]
            bare = Redis(connection_pool=client.connection_pool)
            yield Store(bare, lists, f"{prefix}{channel.unacked_key}")


def _waiting(client: "Redis", key: str) -> Iterator[Any]:
    """From the end where messages come in: what is taken at the other one moves none of these."""
    for start in count(0, CHUNK):
        messages: Any = client.lrange(key, start, start + CHUNK - 1)
        yield from messages
        if len(messages) < CHUNK:
            return


def _taken(store: Store) -> Iterator[Any]:
    return (message for _, message in store.client.hscan_iter(store.taken, count=CHUNK))


def _ids(messages: Iterator[Any], wanted: Set[str]) -> Iterator[str]:
    """The wanted ones; a taken message stands first in a list with where it came from."""
    for text in messages:
        try:
            message = json.loads(text)
            task_id = (message[0] if isinstance(message, list) else message)["headers"]["id"]
        except (LookupError, TypeError, ValueError):  # another program's
            continue
        if task_id in wanted:
            yield task_id
