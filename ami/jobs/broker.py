"""What the broker holds: messages that wait in its queues, and messages that a worker has taken."""

import json
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

from celery import current_app
from redis import Redis

from ami.jobs.vitals import ALIVE_SECONDS, tags_in_hand

CHUNK = 1_000
# Two heartbeats of a worker, and some: so long may what it tells of itself be late.
LOOK_AGAIN_SECONDS = 5.0


class Held(NamedTuple):
    """Task ids, by where their messages are.

    `taken` has what was taken in the last 30 seconds; a task that a worker has not begun in that
    time, it will not begin any more.
    """

    waiting: set[str]
    taken: set[str]


class Store(NamedTuple):
    """The broker's own Redis: its client, its lists of messages, and its hash of taken ones.

    `taken_at` has when each was taken, by its delivery tag.
    """

    client: "Redis"
    channel: Any
    prefix: str
    lists: list[str]
    taken: str
    taken_at: str


def find(task_ids: Set[str]) -> Held:
    """Which of `task_ids` the broker holds, in memory that its queues leave alone.

    A message that moves meanwhile may be overlooked: look twice. Raises what the transport raises
    where the broker does not answer.
    """
    if not task_ids:
        return Held(set(), set())
    with _store() as store:
        waiting = {pk for key in store.lists for pk in _ids(_waiting(store.client, key), task_ids)}
        old = _taken_long_ago(store)
        lately = (message for tag, message in _taken(store) if tag not in old)
        return Held(waiting, set(_ids(lately, task_ids)))


def depth() -> int:
    """How many messages wait in all queues."""
    with _store() as store:
        return sum(int(store.client.llen(key)) for key in store.lists)


def abandoned(task_ids: Set[str]) -> set[str]:
    """Which of `task_ids` have a message that no worker which answers has in hand."""
    with _store() as store:
        tags = _abandoned(store)
        return set(_ids((message for tag, message in _taken(store) if tag in tags), task_ids))


def give_back() -> set[str]:
    """Give the messages back to their queues that no worker which answers has in hand.

    Those of a worker that was killed, or whose connection broke: Redis itself would give them back
    after the visibility timeout. Returns the ids of their tasks. Where no worker tells of itself,
    nothing is known, and nothing done.
    """
    with _store() as store:
        abandoned = _abandoned(store)
        if not abandoned or not tags_in_hand(store.client, store.prefix):
            return set()
        time.sleep(LOOK_AGAIN_SECONDS)
        abandoned &= _abandoned(store)
        given = [message for tag, message in _taken(store) if tag in abandoned]
        for tag in abandoned:
            store.channel.qos.restore_by_tag(tag)
        return set(_ids(iter(given)))


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
            taken, index = f"{prefix}{channel.unacked_key}", f"{prefix}{channel.unacked_index_key}"
            yield Store(bare, channel, prefix, lists, taken, index)


def _waiting(client: "Redis", key: str) -> Iterator[Any]:
    """From the end where messages come in: what is taken at the other one moves none of these."""
    for start in count(0, CHUNK):
        messages: Any = client.lrange(key, start, start + CHUNK - 1)
        yield from messages
        if len(messages) < CHUNK:
            return


def _taken(store: Store) -> Iterator[tuple[str, Any]]:
    """Taken messages by their delivery tags."""
    for tag, message in store.client.hscan_iter(store.taken, count=CHUNK):
        yield tag.decode(), message


def _taken_long_ago(store: Store) -> set[str]:
    tags: Any = store.client.zrangebyscore(store.taken_at, 0, time.time() - ALIVE_SECONDS)
    return {tag.decode() for tag in tags}


def _abandoned(store: Store) -> set[str]:
    """The delivery tags of messages that no worker which answers has in hand."""
    return _taken_long_ago(store).difference(*tags_in_hand(store.client, store.prefix))


def _ids(messages: Iterator[Any], wanted: Set[str] | None = None) -> Iterator[str]:
    """The wanted ones; a taken message stands first in a list with where it came from."""
    for text in messages:
        try:
            message = json.loads(text)
            task_id = (message[0] if isinstance(message, list) else message)["headers"]["id"]
        except (LookupError, TypeError, ValueError):  # another program's
            continue
        if wanted is None or task_id in wanted:
            yield task_id
