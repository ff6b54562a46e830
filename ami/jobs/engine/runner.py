"""Run a part: the worker that opens a Job admits and plans it, and sends its other parts."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import Error, transaction
from django.utils import timezone

from ami.base.registry import UnknownKeyError
from ami.base.storable import storable_text
from ami.jobs import transitions
from ami.jobs.engine import basis, heart, parts
from ami.jobs.engine.admission import admit
from ami.jobs.engine.faults import drop_dead_connection, is_transient
from ami.jobs.engine.registry import JOB_TYPES, WorkFactory
from ami.jobs.engine.work import PlannedWork, WholeWork
from ami.jobs.journal.triggers import journaled_session
from ami.jobs.models import Job, JobPart
from ami.jobs.states import (
    FINAL,
    ClaimLostError,
    JobCanceledError,
    JobFailedError,
    JobState,
    JobStoppedError,
    Outcome,
    PartState,
    StillRunsError,
)

logger = logging.getLogger(__name__)


def run(
    job_id: int,
    *,
    task_id: str | None = None,
    make: WorkFactory | None = None,
    hand_over: bool = False,
) -> None:
    """Run the part that starts or resumes a Job; see :func:`run_part`."""
    job = Job.objects.filter(pk=job_id).exclude(status__in=FINAL).first()
    if job is None:
        logger.info("Job %s has ended or was deleted; its message is dropped.", job_id)
        return
    part = transitions.carrier(job)
    run_part(part.pk, task_id=task_id, make=make, hand_over=hand_over)


def run_part(
    part_id: int,
    *,
    task_id: str | None,
    make: WorkFactory | None = None,
    hand_over: bool = False,
    only_silent: bool = False,
) -> None:
    """Run a part for the message `task_id`; without it, only if its Job waits to be started.

    `make` makes the work instead of the registered factory, so that a caller can follow it; the
    part then runs to its end in this process. With `hand_over`, work that takes long is passed to a
    task with its own time limits. With `only_silent`, raises StillRunsError if the worker that
    holds the part has a recent heartbeat.
    """
    silent_since = _silence() if only_silent else None
    part = JobPart.claim(part_id, task_id=task_id, silent_since=silent_since)
    if part is None:
        if only_silent and _still_runs(part_id, task_id):
            raise StillRunsError(f"Part {part_id} still runs.")
        logger.info("Part %s must not run now; its message is dropped.", part_id)
        # The previous worker may have been killed right after its last commit.
        for job in Job.objects.filter(parts=part_id):
            transitions.settle(job)
        return
    with _ending(part):
        _run(part, make, hand_over=hand_over)


def _run(part: JobPart, make: WorkFactory | None, *, hand_over: bool) -> None:
    job = part.job
    if job.status == JobState.CANCELING:
        raise JobCanceledError(f"Job {job.pk} was canceled.")
    if part.is_worn_out:
        raise JobFailedError(parts.worn_out(part))
    work = (make or JOB_TYPES[job.job_type_key])(job)
    if isinstance(work, WholeWork):
        _refuse(part, work)
    if work.takes_long and hand_over:
        transitions.hand_over(part)
        part.publish(parts.LONG_TASK)
        return
    if isinstance(work, WholeWork):
        if _open(part, work):
            _run_whole(part, work)
        return
    if part.opens:
        if not _open(part, work):
            return
        _hand_out(part)
    basis.take_up(job, work)
    parts.walk(part, work, to_the_end=make is not None)


def _refuse(part: JobPart, work: WholeWork) -> None:
    if part.job.dry_run:
        raise JobFailedError(f"{work.name} does not support dry runs.")
    if part.is_planned:
        raise JobFailedError(f"{work.name} no longer runs in parts; run the Job again.")


def _open(part: JobPart, work: PlannedWork | WholeWork) -> bool:
    """Admit and plan the Job. Returns False if it has to wait or there is nothing to do."""
    job = part.job
    parts.open_stage(job, work)
    if not admit(part, work):
        return False
    if part.is_planned:
        return True
    if isinstance(work, PlannedWork):
        basis.fix(work)
    for sentence in work.decisions():
        job.logger.info("%s", sentence)
    if reason := work.nothing_to_do():
        job.logger.info("Nothing to do: %s", reason)
        transitions.finish(part, Outcome.NOTHING, error=reason)
        return False
    if isinstance(work, PlannedWork):
        _plan(part, work)
    return True


def _plan(part: JobPart, work: PlannedWork) -> None:
    """Split the work into parts, of which `part` is the first, and store them with its basis."""
    job, (first, *others) = part.job, parts.plan_parts(part.job, work)
    fields = ("batches", "rows_total", "counts", "skipped")
    with transaction.atomic():
        job.lock()
        part.save_as_holder(is_planned=True, **{name: getattr(first, name) for name in fields})
        basis.store(job, work)
        JobPart.objects.bulk_create(others)
    rows = sum(planned.rows_total for planned in (first, *others))
    batches = sum(len(planned.batches) for planned in (first, *others))
    told = "Rows in scope: %d, in batches: %d, in parts: %d."
    job.logger.info(told, rows, batches, 1 + len(others))


def _hand_out(part: JobPart) -> None:
    """Send the messages of the other parts, and note that this is done."""
    for other in part.job.parts.filter(state=PartState.QUEUED).order_by("number"):
        if not other.publish():
            break  # the health check sends this one and those after it
    part.save_as_holder(opens=False)


def _run_whole(part: JobPart, work: WholeWork) -> None:
    job = part.job
    if part.attempts > 1:
        job.logger.warning("Its worker was lost; the run starts again, attempt %d.", part.attempts)
    try:
        with journaled_session(job), heart.beating(part), job.logger.rows.in_bulk():
            work.run()
    except JobCanceledError:
        job.logger.warning("Canceled; committed changes stay.")
        transitions.finish(part, Outcome.CANCELED)
    except SoftTimeLimitExceeded:
        hours = settings.OWN_RUN_TIME_LIMIT / 3600
        raise JobFailedError(
            f"{work.name} reached the time limit of {hours:g} hours (OWN_RUN_TIME_LIMIT). "
            "Committed changes stay."
        ) from None
    except Error as crash:  # it has its own transactions, so its progress is unknown
        _crash(part, crash)
    else:
        transitions.complete(part)
        transitions.settle(job)


@contextmanager
def _ending(part: JobPart) -> Iterator[None]:
    """Release the part or end its Job if its run stops or fails while this worker holds it."""
    job = part.job
    try:
        try:
            yield
        except JobStoppedError:
            parts.let_go(part)
            job.refresh_progress()
            transitions.settle(job)
        except SoftTimeLimitExceeded:
            job.logger.warning("%s reached the time limit; its batch will be repeated.", part)
            parts.hand_back(part)
        except (JobFailedError, UnknownKeyError) as failure:
            job.logger.error("%s", failure)
            transitions.finish(part, Outcome.FAILED, error=storable_text(failure))
        except ClaimLostError:
            raise
        except Exception as crash:
            if is_transient(crash):
                raise
            _crash(part, crash)
    except ClaimLostError as lost:
        logger.warning("%s This worker stops.", lost)
        # This worker may have lost its claim right after its own last commit.
        transitions.settle(job)


def _crash(part: JobPart, crash: Exception) -> None:
    drop_dead_connection()
    part.job.logger.exception("The run crashed.")
    told = f"{type(crash).__name__}: {storable_text(crash)}"
    error = f"The run crashed: {told} (the log has the traceback)."
    transitions.finish(part, Outcome.CRASHED, error=error)


def _silence() -> datetime:
    return timezone.now() - timedelta(seconds=heart.SILENT_SECONDS)


def _still_runs(part_id: int, task_id: str | None) -> bool:
    running = JobPart.objects.filter(state=PartState.RUNNING, heartbeat_at__gte=_silence())
    return running.filter(pk=part_id, task_id=task_id).exists()
