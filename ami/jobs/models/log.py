import logging

from django.db import models
from django.utils import timezone

from ami.jobs.models.job import Job


class JobLog(models.Model):
    """One line of a Job's log."""

    class Level(models.IntegerChoices):
        DEBUG = logging.DEBUG, "Debug"
        INFO = logging.INFO, "Info"
        WARNING = logging.WARNING, "Warning"
        ERROR = logging.ERROR, "Error"
        CRITICAL = logging.CRITICAL, "Critical"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="logs", db_index=False)
    level = models.PositiveSmallIntegerField(choices=Level, default=Level.INFO)
    message = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["job", "id"], name="joblog_job_id")]

    def __str__(self) -> str:
        return self.message
