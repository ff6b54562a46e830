"""Tasks for the workers that tests start."""

import os
import signal
from contextlib import suppress

import redis
from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings


@shared_task
def wait_forever(key: str) -> None:
    """Push the id of this process to a list in Redis, and never end, not even at the soft limit."""
    with redis.from_url(settings.REDIS_URL) as client:
        client.rpush(key, os.getpid())
    while True:
        with suppress(SoftTimeLimitExceeded):
            signal.pause()


@shared_task
def wait_for_word(key: str) -> None:
    """Push the id of this process, and end when something is pushed to the answer list."""
    with redis.from_url(settings.REDIS_URL) as client:
        client.rpush(key, os.getpid())
        client.blpop(f"{key}:answer")
