from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

from celery import current_app
from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from ami.base.models import BaseModel
from ami.base.storable import storable_text
from ami.jobs.logging import JobLogger
from ami.jobs.progress import JobProgress, ProgressField
from ami.jobs.states import (
    FINAL,
    RUNNING,
    WAITING,
    ClaimLostError,
    JobCanceledError,
    JobState,
)


class Job(BaseModel):
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
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="jobs",
        verbose_name="run by",
    )
    status = models.CharField(max_length=16, choices=JobState, default=JobState.CREATED)
    progress = ProgressField(default=JobProgress)
    error = models.TextField(blank=True, help_text="Why it failed, or why it still waits.")
    task_id = models.CharField(max_length=255, blank=True)
    claim_token = models.UUIDField(
        null=True, editable=False, help_text="Of the worker that holds the Job."
    )
    launch_key = models.CharField(  # noqa: DJ001 -- null, so that only real keys are unique
        max_length=64,
        null=True,
        unique=True,
        editable=False,
        help_text="By which a second submission of the same form finds this Job.",
    )
    reverts = models.OneToOneField(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="reverted_by",
        help_text="The Job whose changes this one undoes.",
    )
    cursor = models.JSONField(
        null=True, editable=False, help_text="Where a retry goes on; None for the start."
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
    def duration(self) -> timedelta | None:
        """From its start to its end, or to now while it runs."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    def enqueue(self) -> bool:
        """Queue a created Job: its message goes out when the transaction commits.

        False where it is past that state.
        """
        return self._enqueue(JobState.CREATED)

    def retry(self) -> bool:
        """Queue a Job that has ended once more, from its start or its cursor.

        False where it has not ended, or is reverted: what it does then would never be undone.
        """
        if Job.objects.filter(reverts=self.pk).exists():
            return False
        return self._enqueue(
            *FINAL, progress=JobProgress(), error="", started_at=None, finished_at=None
        )

    def cancel(self) -> bool:
        """Stop a waiting Job now, and a running one after its batch. False where it has ended.

        A running one that has given no sign of life for STALLED_JOBS_MAX_MINUTES ends now: its
        worker is gone, or can write nothing more.
        """
        now = timezone.now()
        end: dict[str, Any] = {"status": JobState.REVOKED, "error": "", "finished_at": now}
        stalled = now - timedelta(minutes=self.STALLED_JOBS_MAX_MINUTES)
        return (
            self._move(*WAITING, **end)
            or self._move(*RUNNING, silent_since=stalled, claim_token=None, **end)
            or self._move(*RUNNING, status=JobState.CANCELING)
        )

    def publish(self) -> bool:
        """Send the Job's message. False where the broker is down; the Job says so, and stays."""
        try:
            current_app.send_task("ami.jobs.tasks.run_job", args=[self.pk], task_id=self.task_id)
        except OperationalError as error:
            self._move(
                JobState.PENDING,
                error=f"The broker did not take the Job's message: {str(error).rstrip('.')}. "
                "The Job stays queued; cancel and retry it once the broker is back.",
            )
            return False
        return True

    def checkpoint(self) -> None:
        """Store progress and heartbeat, as the worker that holds the Job.

        A method may be run by hand with a Job that nobody has claimed: neither has a token then.
        Raises ClaimLostError where another worker holds it by now, or it was ended.
        """
        rows = Job.objects.filter(pk=self.pk, claim_token=self.claim_token)
        if self.claim_token:
            rows = rows.filter(status__in=RUNNING)
        if not rows.update(progress=self.progress, heartbeat_at=timezone.now()):
            raise ClaimLostError(f"Job {self.pk} is held by another worker, or was ended.")

    def raise_if_canceled(self) -> None:
        """Raises JobCanceledError where somebody has asked the running Job to stop."""
        if Job.objects.filter(pk=self.pk, status=JobState.CANCELING).exists():
            raise JobCanceledError(f"Job {self.pk} was canceled.")

    def finish(self, status: JobState, *, error: str = "") -> bool:
        """End the run that this worker holds, and let go. False where it holds it no longer."""
        for stage in self.progress.stages:
            stage.status = status
        return self._move(
            *RUNNING,
            held_with=self.claim_token,
            claim_token=None,
            status=status,
            error=storable_text(error),
            progress=self.progress,
            finished_at=timezone.now(),
        )

    def _enqueue(self, *states: JobState, **values: Any) -> bool:
        with transaction.atomic():
            moved = self._move(*states, status=JobState.PENDING, task_id=str(uuid4()), **values)
            if moved:
                transaction.on_commit(self.publish)
        return moved

    def _move(
        self,
        *states: JobState,
        held_with: UUID | None = None,
        silent_since: datetime | None = None,
        **values: Any,
    ) -> bool:
        """Compare and set: write `values` if the row is in one of `states`.

        With `held_with`, only if it carries that claim token, too; with `silent_since`, only if
        its heartbeat is older.
        """
        rows = Job.objects.filter(pk=self.pk, status__in=states)
        if held_with:
            rows = rows.filter(claim_token=held_with)
        if silent_since:
            rows = rows.filter(heartbeat_at__lt=silent_since)
        if not rows.update(updated_at=timezone.now(), **values):
            return False
        for name, value in values.items():
            setattr(self, name, value)
        return True
