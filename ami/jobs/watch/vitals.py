"""Whether the database, the broker, the workers and beat run, without waiting for any of them.

Workers report themselves: on each of Celery's heartbeats, every 2 s, they write to Redis which
queues they serve and which messages they hold. Beat reports through a task that it sends every
minute and that passes through all services: beat, broker, worker, database.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar, NamedTuple, TypedDict

from celery import current_app
from celery.signals import heartbeat_sent, worker_ready
from django.conf import settings
from django.db import Error, connection, transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from redis import Redis, RedisError

from ami.base.postgresql import unsupported_version
from ami.base.registry import Registry
from ami.jobs.models import Pulse

TICK_TASK = "ami.jobs.tasks.tick"
TICK_EVERY = timedelta(minutes=1)
TICKS_MISSED = 2
ALIVE_SECONDS = 30
PATIENCE_SECONDS = 1
FORGOTTEN_SECONDS = 24 * 60 * 60
# A table may be locked, for example by a migration.
PATIENCE = f"SET LOCAL statement_timeout = '{PATIENCE_SECONDS}s'"

# Functions of higher layers that return what needs attention although all services run, as
# sentences. Each executes a few short queries.
WARNINGS: Registry[Callable[[], list[str]]] = Registry("warning")


class Signs(NamedTuple):
    """What the database stores about the services.

    `ages` holds the seconds since each service reported; `tick_every` is the interval of beat's
    task, None if it is disabled; `refusal` says why the server is not supported; `warnings`
    are problems that need attention although all services run.
    """

    ages: dict[str, float]
    tick_every: timedelta | None
    refusal: str
    warnings: list[str]


class Vitals(TypedDict):
    """The answer of `/healthz`. Ages are in seconds, None if there was no report yet."""

    ok: bool
    database: dict[str, Any]
    broker: dict[str, Any]
    workers: dict[str, Any]
    beat: dict[str, Any]
    health_check: dict[str, Any]
    warnings: list[str]


class Hand:
    """Holds the consumer of this process if it is a worker."""

    consumer: ClassVar[Any] = None


@worker_ready.connect
def note_consumer(sender: Any, **kwargs: Any) -> None:
    Hand.consumer = sender


@heartbeat_sent.connect
def note_worker(sender: Any, **kwargs: Any) -> None:
    """Report from a worker which queues it serves and which messages it holds."""
    now, pipeline = time.time(), _redis().pipeline(transaction=False)
    name, prefix = sender.eventer.hostname, _prefix()
    pipeline.zadd(f"{prefix}hands", {name: now})
    pipeline.zremrangebyscore(f"{prefix}hands", 0, now - FORGOTTEN_SECONDS)
    pipeline.set(f"{prefix}hand:{name}", json.dumps(_own_tags()), ex=ALIVE_SECONDS)
    for queue in current_app.amqp.queues.consume_from:
        key = _key(queue)
        pipeline.zadd(key, {name: now})
        pipeline.zremrangebyscore(key, 0, now - ALIVE_SECONDS)
        pipeline.expire(key, ALIVE_SECONDS)
    pipeline.execute()


def _own_tags() -> list[str]:
    """The delivery tags of messages that this worker has taken and not acknowledged.

    A new connection starts with none, because it cannot acknowledge messages of the former one.
    """
    tasks = getattr(Hand.consumer, "task_consumer", None)
    return [*tasks.channel.qos._delivered] if tasks else []


def tags_in_hand(client: Redis, prefix: str) -> list[set[str]]:
    """The delivery tags of the messages that each responding worker holds."""
    names: Any = client.zrange(f"{prefix}hands", 0, -1)
    hands: Any = client.mget([f"{prefix}hand:{name.decode()}" for name in names]) if names else []
    return [set(json.loads(hand)) for hand in hands if hand]


def vitals() -> Vitals:
    """Check all services with a fixed number of queries and one request to Redis."""
    by_queue, signs = workers(), _signs()
    served = all((by_queue or {"": 0}).values())
    database, told = _database(signs), _beat(signs)
    return {
        "ok": served and database["ok"] and told["ok"],
        "database": database,
        "broker": {"ok": by_queue is not None},
        "workers": {"ok": served, "by_queue": by_queue or {}},
        "beat": told,
        "health_check": {"age": _age(signs, Pulse.Name.HEALTH_CHECK)},
        "warnings": signs.warnings if signs else [],
    }


def beat() -> dict[str, Any]:
    """Whether beat runs, the seconds since it reported, and the most seconds allowed."""
    return _beat(_signs())


def workers() -> dict[str, int] | None:
    """The number of workers for each queue; None if the broker does not answer."""
    queues, since = list(settings.CELERY_TASK_QUEUES), time.time() - ALIVE_SECONDS
    pipeline = _redis().pipeline(transaction=False)
    for queue in queues:
        pipeline.zcount(_key(queue), since, "+inf")
    try:
        return dict(zip(queues, pipeline.execute(), strict=True))
    except RedisError:
        return None


def _signs() -> Signs | None:
    """Read the signs; None if the database does not answer."""
    now = timezone.now()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PATIENCE)
            rows = dict(Pulse.objects.values_list("name", "at"))
            every = _tick_every(rows.get(Pulse.Name.TICK))
            refusal = unsupported_version()
            warnings = [sentence for warn in WARNINGS.values() for sentence in warn()]
            transaction.set_rollback(True)  # otherwise an outer transaction would keep the setting
    except Error:
        return None
    ages = {name: (now - at).total_seconds() for name, at in rows.items()}
    return Signs(ages, every, refusal, warnings)


def _database(signs: Signs | None) -> dict[str, Any]:
    """Whether the database answers and has a supported version, else with the reason."""
    refusal = signs.refusal if signs else ""
    return {"ok": signs is not None and not refusal} | ({"reason": refusal} if refusal else {})


def _beat(signs: Signs | None) -> dict[str, Any]:
    """Beat is late after two intervals of its task; it is not judged if the task is disabled."""
    age = _age(signs, Pulse.Name.TICK)
    every = signs.tick_every if signs else TICK_EVERY
    if every is None:
        return {"ok": True, "age": age, "at_most": None}
    at_most = TICKS_MISSED * every.total_seconds()
    return {"ok": age is not None and age <= at_most, "age": age, "at_most": at_most}


def _tick_every(last: datetime | None) -> timedelta | None:
    """The time from the `last` run of beat's task to the next; None if the task is disabled."""
    tick = PeriodicTask.objects.filter(task=TICK_TASK, enabled=True)
    task = tick.select_related("interval", "crontab").first()
    if task is None:
        return None
    if task.crontab and last:
        with suppress(ValueError):  # for example a schedule for 30 February
            left: timedelta = task.crontab.schedule.remaining_estimate(last)
            return max(TICK_EVERY, timezone.now() - last + left)
    every: timedelta = task.interval.schedule.run_every if task.interval else TICK_EVERY
    return every


def _age(signs: Signs | None, name: Pulse.Name) -> float | None:
    age = signs and signs.ages.get(name)
    return age if age is None else round(age, 1)


@cache
def _redis() -> Redis:
    patience = {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
    return Redis.from_url(settings.REDIS_URL, **patience)


def _key(queue: str) -> str:
    return f"{_prefix()}workers:{queue}"


def _prefix() -> str:
    return str(settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", ""))
