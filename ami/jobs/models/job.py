from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone

from ami.base.models import BaseModel
from ami.jobs import transitions
from ami.jobs.logging import JobLogger
from ami.jobs.progress import JobProgress, ProgressField
from ami.jobs.states import (
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
from ami.main.access import ProjectQuerySet

if TYPE_CHECKING:
    from ami.jobs.models.part import JobPart


class Job(BaseModel):
    """One long run, executed by Celery workers.

    The job type defines `params`; for "post_processing" it is `{"task": key, "config": {…}}`.
    :mod:`ami.jobs.transitions` makes every change of `status`.
    """

    if TYPE_CHECKING:
        parts: models.Manager[JobPart]

    enqueue = transitions.enqueue
    cancel = transitions.cancel
    pause = transitions.pause
    resume = transitions.resume
    retry = resume  # its name in Antenna

    project_path = "project"
    held: "JobPart | None" = None  # the part that this worker holds

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
    task_id = models.CharField(
        max_length=255, blank=True, help_text="The id of the message that starts the Job."
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
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[ProjectQuerySet["Job"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

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
    def parameters(self) -> dict[str, Any]:
        """The parameters; empty if other code has stored anything but a mapping."""
        return self.params if isinstance(self.params, dict) else {}

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @cached_property
    def is_planned(self) -> bool:
        """Whether its parts were planned when this was first asked; a query may annotate it."""
        return self.parts.filter(is_planned=True).exists()

    @property
    def can_pause(self) -> bool:
        return self.status == JobState.STARTED and self.is_planned

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
    def runs_in_parts(self) -> Q:
        """A condition: the parts of the Job are planned."""
        return Q(Exists(self.parts.filter(is_planned=True)))

    @property
    def left_undone(self) -> Q:
        """A condition: planned parts are unfinished, or none are planned and nothing is written."""
        undone = Q(Exists(self.undone_parts.filter(is_planned=True)))
        untouched = ~self.runs_in_parts & ~Q(Exists(self.changes.all()))
        return Q(pruned_at=None) & (undone | untouched)

    def raise_if_canceled(self) -> None:
        """Raises JobCanceledError if the running Job is being canceled."""
        if Job.objects.filter(pk=self.pk, status=JobState.CANCELING).exists():
            raise JobCanceledError(f"Job {self.pk} was canceled.")

    def checkpoint(self) -> None:
        """Store progress and heartbeat, as the worker that holds a part of the Job.

        Code may run a method with a Job of which it holds no part. Raises ClaimLostError if another
        worker holds the part or the Job has ended.
        """
        held, running = self.held, Exists(self.parts.filter(state=PartState.RUNNING))
        with transaction.atomic():
            # The Job comes first, because its end locks it before its parts.
            if not self._store_progress(Q() if held else Q(~running)):
                raise ClaimLostError(f"Job {self.pk} is held by another worker or has ended.")
            if held:
                held.save_as_holder()

    def refresh_progress(self) -> None:
        """Store what the parts have done so far, unless the Job has ended."""
        self.refresh_from_db(fields=["progress"])
        self.progress = progress_of(self)
        self._store_progress()

    def lock(self, where: Q | None = None) -> bool:
        """Lock the Job's row against other changes of its state until the transaction ends.

        Transactions that insert rows that refer to the Job do not wait. Returns False if the row
        does not match `where`.
        """
        rows = Job.objects.select_for_update(no_key=True)
        return bool(rows.filter(where or Q(), pk=self.pk).values("pk"))

    def _store_progress(self, where: Q | None = None) -> bool:
        rows = Job.objects.filter(where or Q(), pk=self.pk).exclude(status__in=FINAL)
        return bool(rows.update(progress=self.progress))
