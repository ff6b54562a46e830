from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery import current_app
from django.db import models, transaction
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from ami.base.models import BaseModel
from ami.base.storable import storable_text
from ami.jobs.logging import JobLogger
from ami.jobs.progress import JobProgress, ProgressField
from ami.jobs.states import (
    ATTEMPTS,
    FINAL,
    RUNNING,
    ClaimLostError,
    JobState,
    Outcome,
    PartState,
)
from ami.jobs.summary import progress_of, skipped_in

if TYPE_CHECKING:
    from ami.jobs.models.part import JobPart

ENDED = Q(status__in=FINAL)
STATUS_OF = {
    Outcome.SUCCEEDED: JobState.SUCCESS,
    Outcome.NOTHING: JobState.SUCCESS,
    Outcome.PROBLEMS: JobState.SUCCESS,
    Outcome.FAILED: JobState.FAILURE,
    Outcome.CRASHED: JobState.FAILURE,
    Outcome.CANCELED: JobState.REVOKED,
}


class RunState(BaseModel):
    """Where a run stands, and the moves that change it: each compares the row before it sets it."""

    if TYPE_CHECKING:
        parts: models.Manager[JobPart]

    status = models.CharField(max_length=16, choices=JobState, default=JobState.CREATED)
    outcome = models.CharField(max_length=16, choices=Outcome, blank=True, editable=False)
    progress = ProgressField(default=JobProgress)
    error = models.TextField(
        blank=True, help_text="Why it failed, still waits, or had nothing to do."
    )
    task_id = models.CharField(max_length=255, blank=True)
    claim_token = models.UUIDField(
        null=True, editable=False, help_text="Of the worker that holds the Job."
    )
    attempts = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Claims since it was queued."
    )
    waits_for = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="waiting",
        help_text="The Job that must end first, as both may write the same occurrences.",
    )
    admitted_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when no other Job may write what it may write."
    )
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @cached_property
    def logger(self) -> JobLogger:
        return JobLogger(self.pk)

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def is_worn_out(self) -> bool:
        """Whether too many workers began it, left no part, and were never heard of again."""
        return self.attempts > ATTEMPTS and not self.parts.exists()

    def publish(self, task: str = "ami.jobs.tasks.run_job") -> bool:
        """Send the Job's message. False where the broker is down; the Job says so, and stays."""
        try:
            current_app.send_task(task, args=[self.pk], task_id=self.task_id)
        except OperationalError as error:
            self.move(
                JobState.PENDING,
                JobState.STARTED,
                error=f"The broker did not take the Job's message: {str(error).rstrip('.')}. "
                "It goes out by itself once the broker is back.",
            )
            return False
        return True

    def checkpoint(self) -> None:
        """Store progress and heartbeat, as the worker that holds the Job.

        A method may be run by hand with a Job that nobody has claimed: neither has a token then.
        Raises ClaimLostError where another worker holds it by now, or it was ended.
        """
        rows = self._rows().filter(pk=self.pk, claim_token=self.claim_token)
        rows = rows.filter(status__in=RUNNING) if self.claim_token else rows.exclude(ENDED)
        if not rows.update(progress=self.progress, heartbeat_at=timezone.now()):
            raise ClaimLostError(f"Job {self.pk} is held by another worker, or was ended.")

    def finish(self, outcome: Outcome, *, error: str = "") -> bool:
        """End the run that this worker holds. False where it holds it no longer."""
        held = Q(status__in=RUNNING, claim_token=self.claim_token)
        return self._end(held, outcome, error=error)

    def fail(self, error: str, *, crashed: bool = False) -> bool:
        """End a running Job of which a part cannot go on. False where it has ended before."""
        self.refresh_from_db(fields=["progress"])
        outcome = Outcome.CRASHED if crashed else Outcome.FAILED
        return self._end(Q(status__in=RUNNING), outcome, error=error)

    def settle(self) -> None:
        """End the Job, exactly once, if all of its parts are done, or it is canceled and none runs.

        To be called after each commit that a part is done or let go: of several, the last one
        sees all.
        """
        self.refresh_from_db(fields=["progress"])
        undone = Exists(self._undone_parts())
        if self._undone_parts().exists():
            running = Exists(self.parts.filter(state=PartState.RUNNING))
            canceled = Q(undone, ~running, status=JobState.CANCELING)
            if self._end(canceled, Outcome.CANCELED):
                self.logger.warning("Canceled; what it has committed stays.")
            return
        rows = self.parts.aggregate(
            total=models.Sum("rows_total", default=0), failed=models.Sum("rows_failed", default=0)
        )
        done = Q(~undone, status__in=RUNNING) & self._has_parts()
        if rows["total"] and rows["failed"] == rows["total"]:
            self._end(done, Outcome.CRASHED, error="Every row failed; the log says why.")
        else:
            self._end(done, Outcome.SUCCEEDED)

    def refresh_progress(self) -> None:
        """Store what the parts have done so far, until the Job ends: its end stores all."""
        self.refresh_from_db(fields=["progress"])
        self.progress = progress_of(self)
        rows = self._rows().filter(pk=self.pk).exclude(ENDED)
        rows.update(progress=self.progress, heartbeat_at=timezone.now())

    def lock(self, where: Q | None = None) -> bool:
        """Have everybody else wait who would move the Job, until the transaction ends.

        Not those who commit a row that names it. False where the row is not as `where` says.
        """
        rows = self._rows().select_for_update(no_key=True)
        return bool(rows.filter(where or Q(), pk=self.pk).values("pk"))

    def _rows(self) -> "QuerySet[Any]":
        return type(self)._default_manager.all()

    def _undone_parts(self) -> "QuerySet[JobPart]":
        return self.parts.exclude(state=PartState.DONE)

    def _has_parts(self) -> Q:
        return Q(Exists(self.parts.all()))

    def _send(self, *states: JobState, where: Q | None = None, **values: Any) -> bool:
        """Move the Job, and send its message under a new id when the transaction commits."""
        with transaction.atomic():
            moved = self.move(*states, where=where, task_id=str(uuid4()), attempts=0, **values)
            if moved:
                transaction.on_commit(self.publish)
        return moved

    def _end(self, where: Q, outcome: Outcome, *, error: str = "") -> bool:
        """Compare and set: end the Job if it is as `where` says, and wake who waits for it.

        What is in memory moves last: where anything fails, it is still as the row is.
        """
        with transaction.atomic():
            if not self.lock(where):
                return False
            # Take the claims of the workers that still have a part, and sum up what was done.
            running = self.parts.filter(state=PartState.RUNNING)
            running.update(state=PartState.QUEUED, claim_token=None)
            progress = self._final_progress(outcome)
            if outcome == Outcome.SUCCEEDED and (progress.skipped or progress.warnings):
                outcome = Outcome.PROBLEMS
            for sentence in [*progress.warnings, *skipped_in(self)]:
                self.logger.warning(sentence)
            transaction.on_commit(self._wake)
            return self.move(
                status=STATUS_OF[outcome],
                outcome=outcome,
                progress=progress,
                error=storable_text(error),
                claim_token=None,
                waits_for=None,
                admitted_at=None,
                finished_at=timezone.now(),
            )

    def _final_progress(self, outcome: Outcome) -> JobProgress:
        progress, status = progress_of(self), STATUS_OF[outcome]
        for stage in progress.stages:
            stage.status = status
            if status == JobState.SUCCESS and outcome != Outcome.NOTHING:
                stage.progress = 1.0
        return progress

    def _wake(self) -> None:
        for job in self._rows().filter(waits_for=self.pk).order_by("pk"):
            job.wake(self)

    def wake(self, blocker: "RunState") -> None:
        """Have a Job that waits for `blocker` look again, once however many see its end."""
        self._send(JobState.PENDING, where=Q(waits_for=blocker.pk, task_id=self.task_id))

    def move(self, *states: JobState, where: Q | None = None, **values: Any) -> bool:
        """Compare and set: write `values` if the row is in one of `states`, and as `where` says.

        Where no states are given, in any but a final one: what a Job tells when it has ended stays.
        """
        rows = self._rows().filter(where or Q(), pk=self.pk)
        rows = rows.filter(status__in=states) if states else rows.exclude(ENDED)
        if not rows.update(updated_at=timezone.now(), **values):
            return False
        for name, value in values.items():
            setattr(self, name, value)
        return True
