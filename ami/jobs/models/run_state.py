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
    WAITING,
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
    """The state of a run. Each method that changes it compares the row before it writes."""

    if TYPE_CHECKING:
        parts: models.Manager[JobPart]

    status = models.CharField(max_length=16, choices=JobState, default=JobState.CREATED)
    outcome = models.CharField(max_length=16, choices=Outcome, blank=True, editable=False)
    progress = ProgressField(default=JobProgress)
    error = models.TextField(blank=True, help_text="Why the Job failed or had nothing to do.")
    unsent = models.TextField(
        blank=True,
        editable=False,
        help_text="Why the broker has not taken the Job's message; empty if it has.",
    )
    task_id = models.CharField(max_length=255, blank=True)
    claim_token = models.UUIDField(
        null=True, editable=False, help_text="The token of the worker that holds the Job."
    )
    attempts = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="The number of claims since the Job was queued."
    )
    waits_for = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="waiting",
        help_text="The Job that must end first because both may write the same occurrences.",
    )
    admitted_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="The time since when no other Job may write the occurrences of this Job.",
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
    def waits(self) -> str:
        """Why a queued Job cannot start: the broker, or another Job. Empty if neither is known."""
        if self.unsent or self.waits_for is None or self.status not in WAITING:
            return "" if self.is_final else self.unsent
        blocker = f"Job {self.waits_for.pk} ({self.waits_for})"
        return f"Waits for {blocker}, which may write the same occurrences."

    @property
    def is_worn_out(self) -> bool:
        """Whether too many workers claimed it and were lost before it had parts."""
        return self.attempts > ATTEMPTS and not self.parts.exists()

    def publish(self, task: str = "ami.jobs.tasks.run_job") -> bool:
        """Send the Job's message. If the broker is down, note that in `unsent` and return False."""
        try:
            current_app.send_task(task, args=[self.pk], task_id=self.task_id)
        except OperationalError as error:
            self.move(
                JobState.PENDING,
                JobState.STARTED,
                unsent=f"The broker did not take the Job's message: {str(error).rstrip('.')}. "
                "It will be sent when the broker is back.",
            )
            return False
        return True

    def checkpoint(self) -> None:
        """Store progress and heartbeat, as the worker that holds the Job.

        Code may run a method with a Job that no worker has claimed; it then has no token. Raises
        ClaimLostError if another worker holds the Job or the Job has ended.
        """
        rows = self._rows().filter(pk=self.pk, claim_token=self.claim_token)
        rows = rows.filter(status__in=RUNNING) if self.claim_token else rows.exclude(ENDED)
        if not rows.update(progress=self.progress, heartbeat_at=timezone.now()):
            raise ClaimLostError(f"Job {self.pk} is held by another worker or has ended.")

    def finish(self, outcome: Outcome, *, error: str = "") -> bool:
        """End the run that this worker holds. Returns False if it no longer holds it."""
        held = Q(status__in=RUNNING, claim_token=self.claim_token)
        return self._end(held, outcome, error=error)

    def fail(self, error: str, *, crashed: bool = False) -> bool:
        """End a running Job because a part failed. Returns False if the Job has already ended."""
        self.refresh_from_db(fields=["progress"])
        outcome = Outcome.CRASHED if crashed else Outcome.FAILED
        return self._end(Q(status__in=RUNNING), outcome, error=error)

    def settle(self) -> None:
        """End the Job, exactly once, if all parts are done, or if it is canceled and none runs.

        Call this after each commit that finishes or releases a part, so that the last of several
        workers sees the state of all parts.
        """
        self.refresh_from_db(fields=["progress"])
        undone = Exists(self._undone_parts())
        if self._undone_parts().exists():
            running = Exists(self.parts.filter(state=PartState.RUNNING))
            canceled = Q(undone, ~running, status=JobState.CANCELING)
            if self._end(canceled, Outcome.CANCELED):
                self.logger.warning("Canceled; committed changes stay.")
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
        """Store what the parts have done so far, unless the Job has ended."""
        self.refresh_from_db(fields=["progress"])
        self.progress = progress_of(self)
        rows = self._rows().filter(pk=self.pk).exclude(ENDED)
        rows.update(progress=self.progress, heartbeat_at=timezone.now())

    def lock(self, where: Q | None = None) -> bool:
        """Lock the Job's row against other changes of its state until the transaction ends.

        Transactions that insert rows that refer to the Job do not wait. Returns False if the row
        does not match `where`.
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
        """Change the state, and send a message with a new task id when the transaction commits."""
        with transaction.atomic():
            moved = self.move(*states, where=where, task_id=str(uuid4()), attempts=0, **values)
            if moved:
                transaction.on_commit(self.publish)
        return moved

    def _end(self, where: Q, outcome: Outcome, *, error: str = "") -> bool:
        """End the Job if its row matches `where`, and wake the Jobs that wait for it.

        The object in memory changes last, so that it matches the row if anything fails.
        """
        with transaction.atomic():
            if not self.lock(where):
                return False
            # Revoke the claims of workers that still hold a part, and sum up what was done.
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
                unsent="",
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
        """Queue a Job that waits for `blocker`; only one of several calls has an effect."""
        self._send(JobState.PENDING, where=Q(waits_for=blocker.pk, task_id=self.task_id))

    def move(self, *states: JobState, where: Q | None = None, **values: Any) -> bool:
        """Write `values` if the row is in one of `states` and matches `where`; else return False.

        Without `states`, any state except a final one matches, so that a Job never changes after
        its end.
        """
        rows = self._rows().filter(where or Q(), pk=self.pk)
        rows = rows.filter(status__in=states) if states else rows.exclude(ENDED)
        if not rows.update(updated_at=timezone.now(), **values):
            return False
        for name, value in values.items():
            setattr(self, name, value)
        return True
