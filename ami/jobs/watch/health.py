"""The health check of Jobs: sends lost messages again, and requeues the work of silent workers."""

import logging
from collections.abc import Callable, Mapping
from typing import TypedDict

from celery import current_app
from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone

from ami.jobs.engine.faults import drop_dead_connection
from ami.jobs.models import Job, Pulse
from ami.jobs.states import RUNNING, JobState
from ami.jobs.summary import summary_of
from ami.jobs.watch import broker, vitals
from ami.jobs.watch.stale import by_itself, check_stale_jobs, give_back, queued, send_lost

logger = logging.getLogger(__name__)

PING_SECONDS = 1.0


class Findings(TypedDict):
    """How many rows a sub-check looked at, repaired, and could not repair."""

    checked: int
    fixed: int
    unfixable: int


def check_all() -> dict[str, Findings]:
    """Run every sub-check in isolation: a crash counts as one unfixable row."""
    return _check(SUB_CHECKS)


def check_messages() -> dict[str, Findings]:
    """Run only the check for lost messages; called every minute."""
    return _check({"lost_enqueues": lost_enqueues})


def lost_enqueues() -> Findings:
    """Send the missing messages of queued Jobs and parts again, with the same ids.

    Messages in a long queue are not missing, and Jobs that wait for another Job need none. First,
    messages that a worker took and no longer responds for, of any task, return to their queues.
    """
    give_back()
    rows = queued()
    fixed = [sent["fixed"] for sent in send_lost(rows, dry_run=False)]
    return {"checked": len(rows), "fixed": fixed.count(True), "unfixable": fixed.count(False)}


def stale_jobs() -> Findings:
    """Requeue the work of workers without a heartbeat, and end Jobs that they should cancel."""
    running = Job.objects.filter(status__in=(JobState.STARTED, JobState.CANCELING)).count()
    fixed = [stale["fixed"] for stale in check_stale_jobs()]
    return {"checked": running, "fixed": fixed.count(True), "unfixable": fixed.count(False)}


def running_job_snapshots() -> Findings:
    """Write a status line into the log of each running Job. Changes nothing else."""
    running = list(Job.objects.filter(status__in=RUNNING).order_by("pk"))
    failed = 0
    if running:
        answers = current_app.control.ping(timeout=PING_SECONDS) or []
        depth, workers = broker.depth(), len(answers)
        for job in running:
            with by_itself(job) as errors:
                job.logger.info("%s", _snapshot(job, depth=depth, workers=workers))
            failed += len(errors)
    return {"checked": len(running), "fixed": 0, "unfixable": failed}


def beat() -> Findings:
    """Record that the health check ran, and check that beat reports. Repairs nothing."""
    Pulse.record(Pulse.Name.HEALTH_CHECK)
    told = vitals.beat()
    if not told["ok"]:
        heard = (
            "never reported" if told["age"] is None else f"last reported {told['age']} seconds ago"
        )
        logger.warning("Beat does not run; it %s.", heard)
    return {"checked": 1, "fixed": 0, "unfixable": int(not told["ok"])}


SUB_CHECKS: dict[str, Callable[[], Findings]] = {
    "lost_enqueues": lost_enqueues,
    "stale_jobs": stale_jobs,
    "running_job_snapshots": running_job_snapshots,
    "beat": beat,
}


def _check(checks: Mapping[str, Callable[[], Findings]]) -> dict[str, Findings]:
    found = {name: _isolated(name, check) for name, check in checks.items()}
    workers = vitals.workers()
    is_well = workers and all(workers.values())
    quiet = is_well and not any(findings["unfixable"] for findings in found.values())
    logger.log(logging.INFO if quiet else logging.WARNING, "%s", _summary(found, workers))
    return found


def _summary(found: Mapping[str, Findings], workers: Mapping[str, int] | None) -> str:
    told = [
        f"{name}: {findings['checked']} checked, {findings['fixed']} repaired, "
        f"{findings['unfixable']} failed"
        for name, findings in found.items()
    ]
    if workers is None:
        told.append("the broker does not answer")
    else:
        queues = [f"{number} of {queue}" for queue, number in workers.items()]
        told.append(f"workers by queue: {', '.join(queues)}")
    return f"Job health check: {'; '.join(told)}."


def _isolated(name: str, check: Callable[[], Findings]) -> Findings:
    try:
        return check()
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        logger.exception("The sub-check %s crashed.", name)
        drop_dead_connection()
        return {"checked": 0, "fixed": 0, "unfixable": 1}


def _snapshot(job: Job, *, depth: int, workers: int) -> str:
    summary = summary_of(job)
    states = ", ".join(f"{count} {state.label.lower()}" for state, count in summary.states.items())
    heard = summary.heartbeat_at
    age = f"{(timezone.now() - heard).total_seconds():.0f} s ago" if heard else "never"
    return (
        f"Messages in the queues: {depth}; workers that answer: {workers}; "
        f"parts: {states}; last heartbeat: {age}."
    )
