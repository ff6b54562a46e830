from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from celery import current_app
from django.conf import settings
from django.db import models
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from ami.base.models import BaseModel
from ami.jobs import transitions
from ami.jobs.logging import JobLogger
from ami.jobs.progress import JobProgress, ProgressField
from ami.jobs.states import (
    ATTEMPTS,
    FINAL,
    RUNNING,
    STOPPED_SHORT,
    WAITING,
    ClaimLostError,
    JobCanceledError,
    JobDispatchMode,
    JobState,
    Outcome,
    PartState,
)
from ami.jobs.summary import progress_of

if TYPE_CHECKING:
    from ami.jobs.models.part import JobPart


class Job(BaseModel):
    """One long run, executed by Celery workers.

    The job type defines `params`; for "post_processing" it is `{"task": key, "config": {…}}`.
    :mod:`ami.jobs.transitions` makes every change of `status`.
    """

    if TYPE_CHECKING:
        parts: models.Manager[JobPart]

    STALLED_JOBS_MAX_MINUTES = 20

    name = models.CharField(max_length=255)
    project = models.ForeignKey(
        "main.Project", on_delete=models.CASCADE, null=True, blank=True, related_name="jobs"
    )
    job_type_key = models.CharField("type", max_length=255, default="unknown")
    params = models.JSONField("parameters", default=dict, blank=True)
    dispatch_mode = models.CharField(
        max_length=16, choices=JobDispatchMode, default=JobDispatchMode.INTERNAL, editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="jobs",
        verbose_name="run by",
    )
    launch_key = models.CharField(  # noqa: DJ001 -- null, so that only real keys are unique
        max_length=64,
        null=True,
        unique=True,
        editable=False,
        help_text="Identifies the submitted form, so that submitting it twice makes one Job.",
    )
    reverts = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="reverted_by",
        help_text="The Job whose changes this one undoes.",
    )
    dry_run = models.BooleanField(
        default=False, help_text="Roll back every batch; keep only the counters and the journal."
    )
    applies = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="applied_by",
        help_text="The dry run, or the reverted run, that this Job applies.",
    )
    basis = models.ForeignKey(
        "jobs.Basis",
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="jobs",
        help_text="The values that the Job was planned with besides the rows of its scope.",
    )
    basis_changes = models.JSONField(
        default=list,
        editable=False,
        help_text="How these values had changed by the end of the Job, as sentences.",
    )
    pruned_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When the parts and the journal of the Job were deleted because it was old.",
    )
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
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=JobState.values), name="job_status_is_known"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def logger(self) -> JobLogger:
        return JobLogger(self.pk)

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def can_pause(self) -> bool:
        return self.status == JobState.STARTED and self.parts.exists()

    @property
    def can_resume(self) -> bool:
        """Whether it has stopped with work left and was not reverted."""
        if self.status not in STOPPED_SHORT:
            return self.status == JobState.PAUSED
        return Job.objects.filter(self.left_undone, pk=self.pk).exists() and not self.is_reverted

    @property
    def can_cancel(self) -> bool:
        return self.status in WAITING | RUNNING - {JobState.CANCELING}

    @property
    def is_reverted(self) -> bool:
        """Whether its revert has begun; changes made after that would never be reverted."""
        return Job.objects.filter(reverts=self.pk).exists()

    @property
    def is_worn_out(self) -> bool:
        """Whether too many workers claimed it and were lost before it had parts."""
        return self.attempts > ATTEMPTS and not self.parts.exists()

    @property
    def duration(self) -> timedelta | None:
        """The time from its start to its end, or until now while it runs."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    @property
    def waits(self) -> str:
        """Why a queued Job cannot start: the broker, or another Job. Empty if neither is known."""
        if self.unsent or self.waits_for is None or self.status not in WAITING:
            return "" if self.is_final else self.unsent
        blocker = f"Job {self.waits_for.pk} ({self.waits_for})"
        return f"Waits for {blocker}, which may write the same occurrences."

    @property
    def undone_parts(self) -> "QuerySet[JobPart]":
        return self.parts.exclude(state=PartState.DONE)

    @property
    def has_parts(self) -> Q:
        """A condition: the Job has parts."""
        return Q(Exists(self.parts.all()))

    @property
    def left_undone(self) -> Q:
        """A condition: the Job has unfinished parts, or has no parts and has written nothing."""
        untouched = ~self.has_parts & ~Q(Exists(self.changes.all()))
        return Q(pruned_at=None) & (Q(Exists(self.undone_parts)) | untouched)

    def enqueue(self) -> bool:
        """Queue a created Job; its message is sent when the transaction commits.

        Returns False if the Job is in another state.
        """
        return transitions.enqueue(self)

    def cancel(self, *, by: str = "") -> bool:
        """Cancel a waiting Job at once, and a running one after its current batches.

        A running Job without a heartbeat for STALLED_JOBS_MAX_MINUTES ends at once. `by` is the
        user to name in the log. Returns False if the Job has ended.
        """
        return transitions.cancel(self, by=by)

    def pause(self, *, by: str = "") -> bool:
        """Pause a running Job after its current batches. Returns False in other states."""
        return transitions.pause(self, by=by)

    def resume(self, *, by: str = "") -> bool:
        """Continue a Job that was paused, canceled or failed.

        `by` is the user to name in the log. Returns False in other states, if no work is left, and
        if the revert of the Job has begun.
        """
        return transitions.resume(self, by=by)

    def raise_if_canceled(self) -> None:
        """Raises JobCanceledError if the running Job is being canceled."""
        if Job.objects.filter(pk=self.pk, status=JobState.CANCELING).exists():
            raise JobCanceledError(f"Job {self.pk} was canceled.")

    def publish(self, task: str = "ami.jobs.tasks.run_job") -> bool:
        """Send the Job's message. If the broker is down, note that in `unsent`; return False."""
        try:
            current_app.send_task(task, args=[self.pk], task_id=self.task_id)
        except OperationalError as error:
            self.unsent = (
                f"The broker did not take the Job's message: {str(error).rstrip('.')}. "
                "It will be sent when the broker is back."
            )
            Job.objects.filter(pk=self.pk).exclude(status__in=FINAL).update(unsent=self.unsent)
            return False
        return True

    def checkpoint(self) -> None:
        """Store progress and heartbeat, as the worker that holds the Job.

        Code may run a method with a Job that no worker has claimed; it then has no token. Raises
        ClaimLostError if another worker holds the Job or the Job has ended.
        """
        rows = Job.objects.filter(pk=self.pk, claim_token=self.claim_token)
        if self.claim_token:
            rows = rows.filter(status__in=RUNNING)
        else:
            rows = rows.exclude(status__in=FINAL)
        if not rows.update(progress=self.progress, heartbeat_at=timezone.now()):
            raise ClaimLostError(f"Job {self.pk} is held by another worker or has ended.")

    def refresh_progress(self) -> None:
        """Store what the parts have done so far, unless the Job has ended."""
        self.refresh_from_db(fields=["progress"])
        self.progress = progress_of(self)
        rows = Job.objects.filter(pk=self.pk).exclude(status__in=FINAL)
        rows.update(progress=self.progress, heartbeat_at=timezone.now())

    def lock(self, where: Q | None = None) -> bool:
        """Lock the Job's row against other changes of its state until the transaction ends.

        Transactions that insert rows that refer to the Job do not wait. Returns False if the row
        does not match `where`.
        """
        rows = Job.objects.select_for_update(no_key=True)
        return bool(rows.filter(where or Q(), pk=self.pk).values("pk"))
