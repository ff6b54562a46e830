from django.conf import settings
from django.db import models

from ami.base.models import BaseModel


class Project(BaseModel):
    """What a team monitors. Most other rows belong to a project."""

    name = models.CharField(max_length=255)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="owned_projects",
    )
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="projects")

    def __str__(self) -> str:
        return self.name
