"""Walk a part: batch by batch, until it is done, its Job is stopped, or its time is up."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from uuid import uuid4

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.db.models import Sum

from ami.base.storable import storable_text
from ami.jobs import transitions
from ami.jobs.engine import basis
from ami.jobs.engine.batches import advance, do_batch, prepare
from ami.jobs.engine.faults import drop_dead_connection, is_programming_error, is_transient
from ami.jobs.engine.work import Planned, PlannedWork, Skipped, Work
from ami.jobs.models import Job, JobPart
from ami.jobs.states import (
    FINAL,
    ClaimLostError,
    JobCanceledError,
    JobFailedError,
    JobState,
    JobStoppedError,
)

logger = logging.getLogger(__name__)

PART_SECONDS = 240
LONG_TASK = "run_whole"  # the task whose limits are those of OWN_RUN_TIME_LIMIT
PROGRESS_SECONDS = 1.0
TRIES = 3
PATIENCE_SECONDS = 0.2
FAULTS_TOLERATED = 49
# The fields of a part that a batch changes.
ADVANCED = ("state", "cursor", "rows_done", "rows_failed", "counts", "skipped", "attempts")


def walk(part: JobPart, work: PlannedWork, *, to_the_end: bool = False) -> None:
    """Process a held part, for at most PART_SECONDS plus one batch unless it is `to_the_end`."""
    _Walk(part, work).run(seconds=inf if to_the_end else PART_SECONDS)
    if part.next_batch:
        hand_back(part, LONG_TASK if work.takes_long else "")
    else:
        basis.note_changes(part.job, work)
    transitions.settle(part.job)


def let_go(part: JobPart) -> None:
    """Queue the rest of a held part."""
    # The time limit may have occurred right after a commit, before the object in memory changed.
    part.refresh_from_db(fields=["cursor"])
    transitions.release(part)


def hand_back(part: JobPart, task: str = "") -> None:
    """Queue the rest of the part with the same task id: of two messages, one has an effect."""
    let_go(part)
    part.publish(task)


def run_here(job: Job, work: PlannedWork) -> None:
    """Run all of `work` in this process as one part, for a Job that code runs directly.

    The caller ends the Job. A second call starts again from the beginning. Raises what a batch
    raises, and JobCanceledError.
    """
    open_stage(job, work)
    job.parts.filter(is_planned=True).delete()
    basis.fix(work)
    (part,) = plan_parts(job, work, whole=True)
    part.number += job.parts.count()  # of a run() that calls this one
    with transaction.atomic():
        basis.store(job, work)
        transitions.store_held(part)
    former, job.held = job.held, job.held or part
    try:
        _Walk(part, work).run()
        basis.note_changes(job, work)
        job.refresh_progress()
    finally:
        job.held = former
    job.progress.update_stage(work.key, progress=1.0)
    job.checkpoint()


def open_stage(job: Job, work: Work) -> None:
    """Show the stage with its counters at 0, before the first query that may take long."""
    stage = job.progress.add_stage(work.name, key=work.key)
    job.progress.work = stage.key
    for name in work.counters:
        figure = job.progress.add_or_update_stage_param(stage, name, 0)
        figure.warning = work.warnings.get(name, "")
    job.checkpoint()


def plan_parts(job: Job, work: PlannedWork, *, whole: bool = False) -> list[JobPart]:
    """Unsaved parts of about equal size; a single part if `whole` or if there are no rows.

    Rows that the work counts while it plans are added to the first part.
    """
    work.count_anew()
    batches = list(work.plan())
    parts = 1
    if work.part_batches and batches and not whole:
        parts = -(-len(batches) // work.part_batches)
    bounds = [len(batches) * number // parts for number in range(parts + 1)]
    planned = [
        _plan_part(job, number, batches[first:last])
        for number, (first, last) in enumerate(pairwise(bounds), start=1)
    ]
    planned[0].counts, planned[0].skipped = list(work.counts.items()), work.skipped
    return planned


def _plan_part(job: Job, number: int, batches: Sequence[Planned]) -> JobPart:
    return JobPart(
        job=job,
        number=number,
        task_id=str(uuid4()),
        batches=batches,
        rows_total=sum(batch.rows for batch in batches),
    )


class _Walk:
    """One worker's walk through the batches of a part that it holds."""

    def __init__(self, part: JobPart, work: PlannedWork) -> None:
        self.part = part
        self.job = part.job
        self.work = work
        self.shown_at = 0.0

    def run(self, *, seconds: float = inf) -> None:
        """Process batches until the part is done or its time is up. Raises JobStoppedError."""
        if not self.part.batches:
            transitions.complete(self.part)
            return
        self._take_up_counts()
        prepare(self.job, self.work)
        while self.part.next_batch and self.part.seconds_since_claim < seconds:
            self._step()

    def _take_up_counts(self) -> None:
        self.work.counts = Counter(dict.fromkeys(self.work.counters, 0) | dict(self.part.counts))
        self.work.skipped = {why: Skipped(*told) for why, told in self.part.skipped.items()}

    def _step(self) -> None:
        batch, status = self.part.next_batch, self.part.job_status()
        if status == JobState.CANCELING:
            raise JobCanceledError(f"Job {self.job.pk} was canceled.")
        if status in FINAL or status == JobState.PAUSED:
            raise JobStoppedError(f"Job {self.job.pk} is {status.label.lower()}.")
        if batch:
            self._do(batch)
        self._show_progress()

    def _do(self, batch: Planned) -> None:
        """Process a batch; retry it after transient errors, split it after errors in its rows."""
        lost: Exception | None = None
        for attempt in range(TRIES):
            try:
                do_batch(self.part, self.work, batch)
            except ClaimLostError as claim_lost:
                # The batch may have been committed although the answer was lost. The message is
                # delivered again, and continues from the cursor of the part's row.
                raise lost or claim_lost from None
            except (JobFailedError, JobStoppedError, SoftTimeLimitExceeded):
                raise
            except Exception as fault:
                if is_programming_error(fault):
                    raise
                if not is_transient(fault):
                    self._isolate(batch, fault)
                    return
                lost = fault
                drop_dead_connection()
                if self._was_committed():
                    return
                self.job.logger.warning("%s: %s; the batch is retried.", self.part, fault)
                if attempt == TRIES - 1:
                    raise
                time.sleep(PATIENCE_SECONDS * 2**attempt)
            else:
                return

    def _was_committed(self) -> bool:
        """Whether the batch was committed and only the answer was lost."""
        if not JobPart.objects.filter(pk=self.part.pk, cursor__gt=self.part.cursor).exists():
            return False
        self.part.refresh_from_db(fields=ADVANCED)
        self._take_up_counts()
        return True

    def _isolate(self, batch: Planned, fault: Exception) -> None:
        drop_dead_connection()
        smaller = list(self.work.split(batch))
        if len(smaller) > 1:
            ahead, behind = self.part.cursor, self.part.batches[self.part.cursor + 1 :]
            self.part.save_as_holder(batches=[*self.part.batches[:ahead], *smaller, *behind])
        elif self.work.skips_faults:
            self._skip(batch, fault)
        else:
            raise fault

    def _skip(self, batch: Planned, fault: Exception) -> None:
        """Skip a single unit that fails."""
        ids = list(self.work.fault_ids(batch))
        self.job.logger.error(
            "Skipped because of an error: %s. %s: %s",
            ", ".join(map(str, ids)) or f"{batch.rows} rows",
            type(fault).__name__,
            storable_text(fault).strip(),
            exc_info=fault if not self.part.rows_failed else None,
        )
        if self.work.fault_share is not None:
            self._raise_if_too_many(batch, fault, self.work.fault_share)
        with transaction.atomic():
            self.work.skip_fault(batch, fault)
            advance(self.part, self.work, batch, failed=self.work.fault_share is not None)

    def _raise_if_too_many(self, batch: Planned, fault: Exception, share: float) -> None:
        """Call this before the unit is skipped, because a part that is done cannot fail."""
        rows = self.job.parts.aggregate(failed=Sum("rows_failed"), done=Sum("rows_done"))
        failed, done = rows["failed"] + batch.rows, rows["done"] + batch.rows
        if failed > FAULTS_TOLERATED and failed > share * done:
            raise JobFailedError(
                f"{failed} of {done} rows failed, more than {share:.0%}. The last error: "
                f"{type(fault).__name__}: {storable_text(fault)}"
            )

    def _show_progress(self) -> None:
        if time.monotonic() - self.shown_at >= PROGRESS_SECONDS:
            self.job.refresh_progress()
            self.shown_at = time.monotonic()


def worn_out(part: JobPart) -> str:
    """Why a part is given up after too many claims, including the current one."""
    missed = "the end of a batch" if part.is_planned else "its end"
    return (
        f"{part} was started {part.attempts - 1} times and never reached {missed}. The log may say "
        "why; otherwise the worker was lost, for example because it ran out of memory."
    )
