from typing import ClassVar

from django.db import models
from django.db.models import F, Func, Value
from django.db.models.functions import Collate, Upper

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet
from ami.main.counts import CountField
from ami.main.models.deployment import Deployment
from ami.main.models.event import Event
from ami.main.models.project import Project

# The keys of searches by the beginning of a path or file name. The collation "C" compares bytes,
# so that an index supports prefixes.
PATH_KEY = Collate(Upper("path"), "C")
FILE_NAME = Func(
    F("path"), Value("/"), Value(-1), function="split_part", output_field=models.TextField()
)
FILE_KEY = Collate(Upper(FILE_NAME), "C")


class SourceImage(BaseModel):
    """A capture: one image that a trap has taken."""

    project_path = "project"

    project = models.ForeignKey(
        Project,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="captures",
        db_index=False,
    )
    deployment = models.ForeignKey(
        Deployment,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="captures",
        db_index=False,
    )
    event = models.ForeignKey(
        Event,
        verbose_name="night",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="captures",
    )
    path = models.CharField(max_length=1024, help_text="Relative to the media root, or a URL.")
    timestamp = models.DateTimeField(null=True, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True, help_text="Pixels.")
    height = models.PositiveIntegerField(null=True, blank=True, help_text="Pixels.")
    detections_count = CountField()

    objects: ClassVar[ProjectQuerySet["SourceImage"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "capture"
        # Each includes the id, for filtered lists that are sorted from the newest row down.
        indexes = [
            models.Index(fields=["deployment", "id"], name="capture_deployment_id"),
            models.Index(PATH_KEY, name="capture_path_key"),
            models.Index(FILE_KEY, name="capture_file_key"),
            models.Index(fields=["timestamp"], name="capture_timestamp"),
        ]
        constraints = [
            # A unique index, so that changes of the project wait for new detections.
            models.UniqueConstraint(fields=["project", "id"], name="capture_project_id"),
            models.UniqueConstraint(
                fields=["deployment", "path"], name="capture_unique_deployment_path"
            ),
        ]

    def __str__(self) -> str:
        return self.path
