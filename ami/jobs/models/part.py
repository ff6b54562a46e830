from datetime import datetime, timedelta
from typing import Any, ClassVar

from celery import current_app
from django.db import models
from django.utils import timezone
from kombu.exceptions import OperationalError

from ami.base.models import BaseModel
from ami.jobs import transitions
from ami.jobs.engine.work import Planned
from ami.jobs.models.job import Job
from ami.jobs.states import ATTEMPTS, FINAL, ClaimLostError, JobState, PartState
from ami.main.access import ProjectQuerySet


class JobPart(BaseModel):
    """Consecutive batches of a Job that one worker processes for one Celery message.

    The first part is created with its Job. Its first claim plans the batches of all parts, or does
    the work of a Job that is one call.

    `cursor` is the index of the next batch in `batches`, a list of :class:`Planned`. A batch
    commits together with the cursor, counters and heartbeat, and only if the part still has the
    claim token of this worker. A later claim of the part replaces the token.
    """

    project_path = "job__project"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=PartState, default=PartState.QUEUED)
    is_planned = models.BooleanField(
        default=True, help_text="Whether its batches are known; never if its work is one call."
    )
    opens = models.BooleanField(
        default=False,
        help_text="Whether its message starts or resumes the Job, so that the worker that claims "
        "it also admits and plans the Job and sends the messages of the other parts.",
    )
    batches = models.JSONField(default=list)
    cursor = models.PositiveIntegerField(default=0)
    rows_total = models.PositiveBigIntegerField(default=0)
    rows_done = models.PositiveBigIntegerField(default=0)
    rows_failed = models.PositiveBigIntegerField(default=0)
    counts = models.JSONField(default=list, help_text="Pairs of a counter's name and its value.")
    skipped = models.JSONField(
        default=dict, help_text="For each reason, the number of rows and the first ids."
    )
    task_id = models.CharField(max_length=255, blank=True)
    claim_token = models.UUIDField(null=True, editable=False)
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="The number of claims since the last committed batch."
    )
    claimed_at = models.DateTimeField(null=True)
    rows_at_claim = models.PositiveBigIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)

    objects: ClassVar[ProjectQuerySet["JobPart"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "part"
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="jobpart_number_is_unique"),
        ]

    def __str__(self) -> str:
        job = f"Job {self.job_id}"
        return f"Part {self.number} of {job}" if self.is_planned else job

    @classmethod
    def first(cls, job: Job) -> "JobPart":
        """The unsaved part that is created with `job`."""
        return cls(job=job, number=1, task_id=job.task_id, is_planned=False, opens=True)

    @property
    def next_batch(self) -> Planned | None:
        if self.cursor >= len(self.batches):
            return None
        return Planned(*self.batches[self.cursor])

    @property
    def is_worn_out(self) -> bool:
        """Whether too many workers claimed it and were lost."""
        return self.attempts > ATTEMPTS

    @property
    def seconds_since_claim(self) -> float:
        elapsed: timedelta = timezone.now() - (self.claimed_at or timezone.now())
        return elapsed.total_seconds()

    @classmethod
    def claim(
        cls, part_id: int, *, task_id: str | None, silent_since: datetime | None = None
    ) -> "JobPart | None":
        """Claim a part as described in :func:`ami.jobs.transitions.claim`; None if that fails."""
        parts = cls.objects.select_related("job").filter(pk=part_id)
        seen = parts.defer("batches").first()
        if seen is None:
            return None
        token = transitions.claim(seen, task_id=task_id, silent_since=silent_since)
        part = parts.filter(claim_token=token).first() if token else None
        if part:
            part.job.held = part
        return part

    def publish(self, task: str = "") -> bool:
        """Send the part's message. If the broker is down, note that and return False."""
        pk = self.pk
        if not (task or self.is_planned):
            task, pk = "run_job", self.job_id
        try:
            name = f"ami.jobs.tasks.{task or 'run_part'}"
            current_app.send_task(name, args=[pk], task_id=self.task_id)
        except OperationalError as error:
            self._note_refusal(error)
            return False
        return True

    def job_status(self) -> JobState:
        """The current status of the Job. Raises ClaimLostError if the part was taken over."""
        rows = JobPart.objects.filter(pk=self.pk, claim_token=self.claim_token)
        status = rows.values_list("job__status", flat=True).first()
        if status is None:
            raise ClaimLostError(f"{self} is held by another worker.")
        return JobState(status)

    def save_as_holder(self, **values: Any) -> None:
        """Write `values` if this worker still holds the part and knows its cursor.

        A commit whose answer was lost may have moved the cursor. Raises ClaimLostError otherwise.
        """
        now = timezone.now()
        held = JobPart.objects.filter(
            pk=self.pk,
            claim_token=self.claim_token,
            state=PartState.RUNNING,
            cursor=self.cursor,
        )
        if not held.update(heartbeat_at=now, updated_at=now, **values):
            raise ClaimLostError(f"{self} is held by another worker.")
        for name, value in values.items():
            setattr(self, name, value)

    def _note_refusal(self, error: OperationalError) -> None:
        told = str(error).rstrip(".")
        if not self.opens:
            self.job.logger.warning("%s waits for the broker: %s.", self, told)
            return
        self.job.unsent = (
            f"The broker did not take the Job's message: {told}. "
            "It will be sent when the broker is back."
        )
        running = Job.objects.filter(pk=self.job_id).exclude(status__in=FINAL)
        running.update(unsent=self.job.unsent)
