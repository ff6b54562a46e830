"""Access of tests to the broker."""

from typing import Any

from celery import current_app

from ami.jobs.models import Job, JobPart
from ami.jobs.watch import broker


def purge() -> None:
    with broker._store() as store:
        store.client.delete(*store.lists, store.taken, store.taken_at)


def messages_in_hand() -> int:
    """The number of messages that were taken and not acknowledged."""
    with broker._store() as store:
        return int(store.client.hlen(store.taken))


def waiting(*rows: Job | JobPart) -> int:
    return len(broker.find({row.task_id for row in rows}).waiting)


def take_message() -> Any:
    """Take a message without acknowledging it."""
    channel: Any = current_app.connection_for_write().channel()
    return channel.basic_get("post_processing")


def age_what_was_taken() -> None:
    """Let a minute pass for the messages that were taken."""
    with broker._store() as store:
        taken: Any = store.client.zrange(store.taken_at, 0, -1, withscores=True)
        for tag, at in taken:
            store.client.zadd(store.taken_at, {tag: at - 60})
