"""Say what a Job waits for, for its page and for the command line."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from redis import RedisError

from ami.jobs.models import Job
from ami.jobs.states import WAITING, JobState, PartState
from ami.jobs.summary import Summary
from ami.jobs.watch import broker, vitals

QUEUE: str = settings.CELERY_TASK_ROUTES["ami.jobs.tasks.run_job"]["queue"]
# A free worker takes a message within this time.
PATIENCE = timedelta(seconds=2)
SILENCE = timedelta(seconds=vitals.ALIVE_SECONDS)


def what_it_waits_for(job: Job, summary: Summary) -> str:
    """Why `job` makes no progress: another Job, the broker or a worker. Empty if it does."""
    if job.is_final or job.status in {JobState.PAUSED, JobState.CANCELING}:
        return ""
    if job.waits:
        return job.waits
    if job.status in WAITING:
        return _waits_for_a_worker(f"Job {job.pk}", job.updated_at)
    queued = summary.states[PartState.QUEUED]
    if queued and not summary.states[PartState.RUNNING]:
        return _waits_for_a_worker(_queued_parts(job, queued), summary.queued_at)
    return _misses_a_worker(job, summary)


def _misses_a_worker(job: Job, summary: Summary) -> str:
    heard = summary.heartbeat_at
    if heard is None or timezone.now() - heard < SILENCE:
        return ""
    if _has_lost_its_worker(job):
        return (
            f"A worker of Job {job.pk} no longer responds; its last heartbeat was at "
            f"{_time(heard)}. Another worker will take over within 2 minutes."
        )
    if any(summary.states.values()):  # a batch may take longer than that
        return ""
    return (
        f"The worker of Job {job.pk} has sent no heartbeat since {_time(heard)}. If it was lost, "
        "another worker will start the run again."
    )


def _queued_parts(job: Job, number: int) -> str:
    if number > 1:
        return f"Each of the {number:,} remaining parts of Job {job.pk}"
    # A worker may have claimed it since the summary was read.
    part = job.parts.only("job", "number").filter(state=PartState.QUEUED).first()
    return str(part or f"The last part of Job {job.pk}")


def _waits_for_a_worker(name: str, since: datetime | None) -> str:
    if since is None or timezone.now() - since < PATIENCE:
        return ""
    workers = vitals.workers()
    if workers is None:
        why = "the broker does not answer"
    elif not (number := workers.get(QUEUE, 0)):
        why = f"no worker serves the queue {QUEUE}"
    else:
        why = f"all workers that serve the queue {QUEUE} are busy ({number})"
    return f"{name} has waited for a worker since {_time(since)}: {why}."


def _has_lost_its_worker(job: Job) -> bool:
    if vitals.workers() is None:
        return False
    running = job.parts.filter(state=PartState.RUNNING)
    try:
        return bool(broker.abandoned(set(running.values_list("task_id", flat=True))))
    except (BrokerError, RedisError):
        return False


def _time(at: datetime) -> str:
    at = timezone.localtime(at)
    is_today = at.date() == timezone.localdate()
    return f"{at:%H:%M:%S %Z}" if is_today else f"{at:%Y-%m-%d %H:%M:%S %Z}"
