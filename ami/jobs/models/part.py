from datetime import timedelta
from typing import Any

from celery import current_app
from django.db import models
from django.utils import timezone

from ami.base.models import BaseModel
from ami.jobs import transitions
from ami.jobs.engine.work import Planned
from ami.jobs.models.job import Job
from ami.jobs.states import ATTEMPTS, ClaimLostError, JobState, PartState


class JobPart(BaseModel):
    """Consecutive batches of a Job that one worker processes for one Celery message.

    `cursor` is the index of the next batch in `batches`, a list of :class:`Planned`. A batch
    commits together with the cursor, counters and heartbeat, and only if the part still has the
    claim token of this worker. A later claim of the part replaces the token.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=PartState, default=PartState.QUEUED)
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

    class Meta:
        verbose_name = "part"
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="jobpart_number_is_unique"),
        ]

    def __str__(self) -> str:
        return f"Part {self.number} of Job {self.job_id}"

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
    def claim(cls, part_id: int, *, task_id: str) -> "JobPart | None":
        """Claim a part of a running Job for the worker that received the message `task_id`.

        Returns None if the part is done, its Job is not running, or a newer message was sent.
        """
        part = cls.objects.select_related("job").defer("batches").filter(pk=part_id).first()
        return part if part and transitions.claim(part, task_id=task_id) else None

    def publish(self) -> None:
        """Send the part's message. Raises kombu's OperationalError if the broker is down."""
        current_app.send_task("ami.jobs.tasks.run_part", args=[self.pk], task_id=self.task_id)

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
