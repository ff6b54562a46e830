"""The figures of `/metrics`, as plain values. Higher layers register theirs in `FIGURES`."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from django.db.models import Count, Min
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis import RedisError

from ami.base.registry import Registry
from ami.jobs.models import Job, JobPart
from ami.jobs.states import JobState, PartState
from ami.jobs.summary import RATE
from ami.jobs.watch import broker, vitals


class Figure(NamedTuple):
    """A gauge: its name and meaning, the names of its labels, and its values by the labels."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    values: dict[tuple[str, ...], float]


FIGURES: Registry[Callable[[], Iterator[Figure]]] = Registry("source of figures")


def figures() -> Iterator[Figure]:
    """All figures, in a fixed number of queries."""
    for source in FIGURES.values():
        yield from source()


def of_jobs() -> Iterator[Figure]:
    counted = Job.objects.order_by().values_list("status", "outcome").annotate(Count("pk"))
    by_state: dict[tuple[str, ...], float] = {
        (status.lower(), outcome): float(rows) for status, outcome, rows in counted
    }
    yield Figure("ami_jobs", "Jobs by status and outcome.", ("status", "outcome"), by_state)

    since = Job.objects.filter(status=JobState.PENDING).aggregate(at=Min("updated_at"))["at"]
    age = (timezone.now() - since).total_seconds() if since else 0.0
    meaning = "Time since the oldest queued Job was queued, in seconds; 0 if none is queued."
    yield Figure("ami_oldest_queued_job_seconds", meaning, (), {(): age})

    running = JobPart.objects.filter(state=PartState.RUNNING, job__status=JobState.STARTED)
    rate = running.aggregate(rate=RATE)["rate"] or 0.0
    meaning = "Rows per second, over the parts that workers hold."
    yield Figure("ami_rows_per_second", meaning, (), {(): rate})


def of_services() -> Iterator[Figure]:
    """The queues and workers; only that the broker is down, if it is."""
    workers = vitals.workers()
    try:
        depths = broker.depths() if workers is not None else None
    except (OperationalError, RedisError, OSError):
        depths = None
    yield Figure(
        "ami_broker_up", "Whether the broker answers.", (), {(): float(depths is not None)}
    )
    if depths is not None:
        yield Figure("ami_queue_messages", "Messages that wait.", ("queue",), _by_name(depths))
    if workers is not None:
        yield Figure("ami_workers", "Workers that report.", ("queue",), _by_name(workers))
    age = vitals.beat()["age"]
    if age is not None:
        yield Figure("ami_beat_age_seconds", "Time since beat reported.", (), {(): age})


def _by_name(counts: dict[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): float(count) for name, count in counts.items()}


FIGURES.register("jobs", of_jobs)
FIGURES.register("services", of_services)
