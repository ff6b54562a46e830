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
    """One long run, executed by Celery workers.

    The job type defines `params`; for "post_processing" it is `{"task": key, "config": {…}}`.
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
        """Whether it has stopped with work left and was not reverted."""
        if self.status not in STOPPED_SHORT:
            return self.status == JobState.PAUSED
        return Job.objects.filter(self._left_undone(), pk=self.pk).exists() and not self.is_reverted

    @property
    def can_cancel(self) -> bool:
        return self.status in WAITING | RUNNING - {JobState.CANCELING}

    @property
    def is_reverted(self) -> bool:
        """Whether its revert has begun; changes made after that would never be reverted."""
        return Job.objects.filter(reverts=self.pk).exists()

    @property
    def duration(self) -> timedelta | None:
        """The time from its start to its end, or until now while it runs."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    def enqueue(self) -> bool:
        """Queue a created Job; its message is sent when the transaction commits.

        Returns False if the Job is in another state.
        """
        return self._send(JobState.CREATED, status=JobState.PENDING)

    def cancel(self, *, by: str = "") -> bool:
        """Cancel a waiting Job at once, and a running one after its current batches.

        A running Job without a heartbeat for STALLED_JOBS_MAX_MINUTES ends at once: its workers are
        lost or can write nothing more. `by` is the user to name in the log. Returns False if the
        Job has ended.
        """
        with transaction.atomic():
            self.lock()  # otherwise a running Job could start to wait between the two updates
            if self._end(Q(status__in=WAITING), Outcome.CANCELED):
                self._record("Canceled", by)
                return True
            if not self.move(*RUNNING, status=JobState.CANCELING):
                return False
            self._record("Canceled; it stops after the current batches", by)
        silent = timezone.now() - timedelta(minutes=self.STALLED_JOBS_MAX_MINUTES)
        recent = self.parts.filter(heartbeat_at__gte=silent)
        self.refresh_from_db(fields=["progress"])
        is_silent = Q(heartbeat_at__lt=silent) & Q(~Exists(recent))
        self._end(Q(status=JobState.CANCELING) & is_silent, Outcome.CANCELED)
        self.settle()
        return True

    def pause(self, *, by: str = "") -> bool:
        """Pause a running Job after its current batches. Returns False in other states."""
        with transaction.atomic():
            moved = self.move(JobState.STARTED, where=self._has_parts(), status=JobState.PAUSED)
            if moved:
                self._record("Paused", by)
        return moved

    def resume(self, *, by: str = "") -> bool:
        """Continue a Job that was paused, canceled or failed.

        `by` is the user to name in the log. Returns False in other states, if no work is left, and
        if the revert of the Job has begun.
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
                # New task ids make earlier messages invalid. A worker that is still in its last
                # batch loses that batch, because it cannot be told from a worker that was lost.
                self._undone_parts().update(
                    state=PartState.QUEUED,
                    claim_token=None,
                    attempts=0,
                    task_id=Cast(RandomUUID(), models.CharField()),
                )
                self._record("Resumed", by)
        return moved

    def _left_undone(self) -> Q:
        """A condition: the Job has unfinished parts, or has no parts and has written nothing."""
        untouched = ~self._has_parts() & ~Q(Exists(self.changes.all()))
        return Q(pruned_at=None) & (Q(Exists(self._undone_parts())) | untouched)

    def raise_if_canceled(self) -> None:
        """Raises JobCanceledError if the running Job is being canceled."""
        if Job.objects.filter(pk=self.pk, status=JobState.CANCELING).exists():
            raise JobCanceledError(f"Job {self.pk} was canceled.")

    def _record(self, what: str, by: str) -> None:
        if by:
            self.logger.info("%s by %s.", what, by)
