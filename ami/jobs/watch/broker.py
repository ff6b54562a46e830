"""The messages in the broker: those that wait in queues, and those that workers have taken."""

import json
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

from celery import current_app
from redis import Redis

from ami.jobs.watch.vitals import ALIVE_SECONDS, tags_in_hand

MESSAGES_AT_ONCE = 1_000
# A worker's report may be late by two of its heartbeats, which it sends every 2 s.
LOOK_AGAIN_SECONDS = 5.0


class Held(NamedTuple):
    """Task ids by the place of their messages.

    `taken` holds the messages that were taken in the last 30 s. A worker that has not begun a task
    in that time will not begin it.
    """

    waiting: set[str]
    taken: set[str]


class Store(NamedTuple):
    """The broker's Redis: a client, the lists of waiting messages, the hash of taken messages.

    `taken_at` is the sorted set of the times when messages were taken, by delivery tag.
    """

    client: "Redis"
    channel: Any
    prefix: str
    lists: list[str]
    taken: str
    taken_at: str


def find(task_ids: Set[str]) -> Held:
    """Which of `task_ids` the broker holds. The memory used does not depend on its queues.

    A message that moves in the meantime may be missed, so call this twice before acting. Raises
    the transport's errors if the broker does not answer.
    """
    if not task_ids:
        return Held(set(), set())
    with _store() as store:
        waiting = {pk for key in store.lists for pk in _ids(_waiting(store.client, key), task_ids)}
        old = _taken_long_ago(store)
        lately = (message for tag, message in _taken(store) if tag not in old)
        return Held(waiting, set(_ids(lately, task_ids)))


def depth() -> int:
    """The number of messages that wait in all queues."""
    return sum(depths().values())


def depths() -> dict[str, int]:
    """The number of messages that wait, by queue. Raises the transport's errors."""
    with _store() as store:
        return {queue: int(store.channel._size(queue)) for queue in current_app.amqp.queues}


def abandoned(task_ids: Set[str]) -> set[str]:
    """Which of `task_ids` have a taken message that no responding worker holds."""
    with _store() as store:
        tags = _abandoned(store)
        return set(_ids((message for tag, message in _taken(store) if tag in tags), task_ids))


def give_back() -> set[str]:
    """Return taken messages that no responding worker holds to their queues.

    Their worker was killed or lost its connection. Celery itself would return them only after the
    visibility timeout. Returns the ids of their tasks. If no worker reports, nothing is known, and
    nothing is done.
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
    """Open the data of kombu, with a plain client: kombu's prefixes the keys of some commands."""
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
    """Read from the end where messages are added: taking at the other end moves none of these."""
    for start in count(0, MESSAGES_AT_ONCE):
        messages: Any = client.lrange(key, start, start + MESSAGES_AT_ONCE - 1)
        yield from messages
        if len(messages) < MESSAGES_AT_ONCE:
            return


def _taken(store: Store) -> Iterator[tuple[str, Any]]:
    """The taken messages by delivery tag."""
    for tag, message in store.client.hscan_iter(store.taken, count=MESSAGES_AT_ONCE):
        yield tag.decode(), message


def _taken_long_ago(store: Store) -> set[str]:
    tags: Any = store.client.zrangebyscore(store.taken_at, 0, time.time() - ALIVE_SECONDS)
    return {tag.decode() for tag in tags}


def _abandoned(store: Store) -> set[str]:
    """The delivery tags of taken messages that no responding worker holds."""
    return _taken_long_ago(store).difference(*tags_in_hand(store.client, store.prefix))


def _ids(messages: Iterator[Any], wanted: Set[str] | None = None) -> Iterator[str]:
    """The wanted task ids; a taken message is the first item of a list."""
    for text in messages:
        try:
            message = json.loads(text)
            task_id = (message[0] if isinstance(message, list) else message)["headers"]["id"]
        except (LookupError, TypeError, ValueError):  # a message of another program
            continue
        if wanted is None or task_id in wanted:
            yield task_id
