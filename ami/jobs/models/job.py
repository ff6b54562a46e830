import uuid
from functools import cached_property
from logging import Logger

from django.conf import settings
from django.db import models
from django.utils import timezone

from ami.base.models import BaseModel
from ami.jobs.progress import JobProgress, ProgressField
from ami.jobs.states import JobState


class Job(BaseModel):
    """One run of something long, worked on by a Celery worker.

    `params` is the job type's own; for "post_processing" `{"task": key, "config": {…}}`.
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
    launch_key = models.CharField(
        max_length=64,
        null=True,
        unique=True,
        editable=False,
        help_text="What makes a second submission of the same form find this Job.",
    )
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.get_status_display()})"
