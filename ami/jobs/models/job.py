from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models, transaction
from django.db.models import Exists, Q
from django.db.models.functions import Cast
from django.utils import timezone

from ami.jobs.models.run_state import RunState
from ami.jobs.states import (
    RUNNING,
    STOPPED_SHORT,
    WAITING,
    JobCanceledError,
    JobDispatchMode,
    JobState,
    Outcome,
    PartState,
)


class Job(RunState):
    """One run of something long, worked on by a Celery worker.

    `params` is the job type's own; for "post_processing" it is `{"task": key, "config": {…}}`.
    """

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
        help_text="By which a second submission of the same form finds this Job.",
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
        default=False, help_text="Whether every batch is rolled back; counters and journal stay."
    )
    applies = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="applied_by",
        help_text="The Job that this one does again: a dry run, or a run that was reverted.",
    )
    basis = models.ForeignKey(
        "jobs.Basis",
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="jobs",
        help_text="What it was planned with besides the rows of its scope.",
    )
    basis_changes = models.JSONField(
        default=list,
        editable=False,
        help_text="How that had changed at its end, a sentence each.",
    )
    pruned_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When its parts and its journal were deleted, as it had ended long before.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=JobState.values), name="job_status_is_known"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def can_pause(self) -> bool:
        return self.status == JobState.STARTED and self.parts.exists()

    @property
    def can_resume(self) -> bool:
        """Whether it stopped with something left to do."""
        if self.status not in STOPPED_SHORT:
            return self.status == JobState.PAUSED
        return Job.objects.filter(self._left_undone(), pk=self.pk).exists() and not self.is_reverted

    @property
    def can_cancel(self) -> bool:
        return self.status in WAITING | RUNNING - {JobState.CANCELING}

    @property
    def is_reverted(self) -> bool:
        """Whether its revert has begun: what it did from then on would never be undone."""
        return Job.objects.filter(reverts=self.pk).exists()

    @property
    def duration(self) -> timedelta | None:
        """From its start to its end, or to now while it runs."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    def enqueue(self) -> bool:
        """Queue a created Job: its message goes out when the transaction commits.

        False where it is past that state.
        """
        return self._send(JobState.CREATED, status=JobState.PENDING)

    def cancel(self, *, by: str = "") -> bool:
        """Stop a waiting Job now, and a running one after its batches. False where it has ended.

        A running one that has given no sign of life for STALLED_JOBS_MAX_MINUTES ends now: its
        workers are gone, or can write nothing more. `by` names who asked for it, for the log.
        """
        with transaction.atomic():
            self.lock()  # or a Job that runs now may wait for another one the next moment
            if self._end(Q(status__in=WAITING), Outcome.CANCELED):
                self._record("Canceled", by)
                return True
            if not self.move(*RUNNING, status=JobState.CANCELING):
                return False
            self._record("Canceled; it stops after the present batches", by)
        silent = timezone.now() - timedelta(minutes=self.STALLED_JOBS_MAX_MINUTES)
        recent = self.parts.filter(heartbeat_at__gte=silent)
        self.refresh_from_db(fields=["progress"])
        is_silent = Q(heartbeat_at__lt=silent) & Q(~Exists(recent))
        self._end(Q(status=JobState.CANCELING) & is_silent, Outcome.CANCELED)
        self.settle()
        return True

    def pause(self, *, by: str = "") -> bool:
        """Stop a running Job after its present batches, to be resumed. False in other states."""
        with transaction.atomic():
            moved = self.move(JobState.STARTED, where=self._has_parts(), status=JobState.PAUSED)
            if moved:
                self._record("Paused", by)
        return moved

    def resume(self, *, by: str = "") -> bool:
        """Go on with what is left, where the Job was paused, canceled or failed.

        False in other states, where nothing is left, and where its revert has begun. `by` names
        who asked for it, for the Job's log.
        """
        with transaction.atomic():
            self.lock()
            moved = self._send(JobState.PAUSED, status=JobState.STARTED) or (
                not self.is_reverted
                and self._send(
                    *STOPPED_SHORT,
                    where=self._left_undone(),
                    status=JobState.PENDING,
                    outcome="",
                    error="",
                    finished_at=None,
                )
            )
            if moved:
                # Under new ids, so that messages from before count no more. A worker that is still
                # in its last batch loses it, as one that is gone has: both look the same.
                self._undone_parts().update(
                    state=PartState.QUEUED,
                    claim_token=None,
                    attempts=0,
                    task_id=Cast(RandomUUID(), models.CharField()),
                )
                self._record("Resumed", by)
        return moved

    def _left_undone(self) -> Q:
        """It has parts that are not done, or had not even begun to write."""
        untouched = ~self._has_parts() & ~Q(Exists(self.changes.all()))
        return Q(pruned_at=None) & (Q(Exists(self._undone_parts())) | untouched)

    def raise_if_canceled(self) -> None:
        """Raises JobCanceledError where somebody has asked the running Job to stop."""
        if Job.objects.filter(pk=self.pk, status=JobState.CANCELING).exists():
            raise JobCanceledError(f"Job {self.pk} was canceled.")

    def _record(self, what: str, by: str) -> None:
        if by:
            self.logger.info("%s by %s.", what, by)
