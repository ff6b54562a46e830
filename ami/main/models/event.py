from typing import ClassVar

from django.db import models

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet
from ami.main.counts import CountField
from ami.main.events import group_captures
from ami.main.models.deployment import Deployment
from ami.main.models.project import Project


class Event(BaseModel):
    """One night of a deployment."""

    project_path = "project"

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

    objects: ClassVar[ProjectQuerySet["Event"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "night"
        constraints = [
            models.UniqueConstraint(
                fields=["deployment", "group_by"], name="event_unique_deployment_night"
            )
        ]

    def __str__(self) -> str:
        return self.group_by


def group_images_into_events(deployment: Deployment) -> list[Event]:
    """Assign every capture with a time to its night, and return the nights with captures."""
    group_captures(deployment.pk)
    nights = Event.objects.filter(deployment=deployment, captures__timestamp__isnull=False)
    return list(nights.distinct().order_by("group_by"))
