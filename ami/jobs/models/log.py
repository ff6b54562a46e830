from typing import ClassVar

from django.db import models
from django.utils import timezone

from ami.main.access import ProjectQuerySet

SEVERE = ("WARNING", "ERROR", "CRITICAL")


class JobLog(models.Model):
    """One line of a Job's log."""

    project_path = "job__project"

    class Level(models.TextChoices):
        DEBUG = "DEBUG", "Debug"
        INFO = "INFO", "Info"
        WARNING = "WARNING", "Warning"
        ERROR = "ERROR", "Error"
        CRITICAL = "CRITICAL", "Critical"

    job = models.ForeignKey(
        "jobs.Job", on_delete=models.CASCADE, related_name="logs", db_index=False
    )
    level = models.CharField(max_length=8, choices=Level, default=Level.INFO)
    message = models.TextField()
    created_at = models.DateTimeField("time", default=timezone.now)

    objects: ClassVar[ProjectQuerySet["JobLog"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "job log line"
        indexes = [
            models.Index(fields=["job", "id"], name="joblog_job_id"),
            models.Index(
                fields=["job", "id"],
                condition=models.Q(level__in=SEVERE),
                name="joblog_severe",
            ),
        ]

    def __str__(self) -> str:
        return self.message
