from django.db import models

from ami.base.models import BaseModel
from ami.main.counts import CountField
from ami.main.models.deployment import Deployment
from ami.main.models.project import Project


class Event(BaseModel):
    """One night of a deployment."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, blank=True, related_name="events"
    )
    deployment = models.ForeignKey(
        Deployment, on_delete=models.CASCADE, null=True, blank=True, related_name="events"
    )
    group_by = models.CharField(
        "night of",
        max_length=255,
        help_text="The date of the evening, as YYYY-MM-DD; unique within the deployment.",
    )
    start = models.DateTimeField(null=True, blank=True)
    end = models.DateTimeField(null=True, blank=True)
    captures_count = CountField()
    detections_count = CountField()
    occurrences_count = CountField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["deployment", "group_by"], name="event_unique_deployment_night"
            )
        ]

    def __str__(self) -> str:
        return self.group_by
