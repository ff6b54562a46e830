from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction

from ami.base.models import BaseModel, ScoreField, score_constraint
from ami.main.access import ProjectQuerySet
from ami.main.boxes import BoundingBox
from ami.main.models.source_image import SourceImage
from ami.main.project_column import ProjectColumn

if TYPE_CHECKING:
    from ami.main.models.occurrence import Occurrence


class Detection(BaseModel):
    """One box that a detector drew on a capture."""

    project_path = "source_image__project"
    project_column = "project"

    source_image = models.ForeignKey(
        SourceImage, on_delete=models.CASCADE, related_name="detections", verbose_name="capture"
    )
    project = ProjectColumn()
    bbox = ArrayField(
        models.FloatField(),
        null=True,
        blank=True,
        verbose_name="box",
        help_text="x1, y1, x2, y2 in pixels of the capture.",
    )
    timestamp = models.DateTimeField(null=True, blank=True)
    path = models.CharField(
        "crop", max_length=1024, blank=True, help_text="Relative to the media root, or a URL."
    )
    occurrence = models.ForeignKey(
        "main.Occurrence",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="detections",
    )
    detection_algorithm = models.ForeignKey(
        "ml.Algorithm",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="detections",
        db_index=False,
    )
    detection_score = ScoreField(null=True, blank=True)
    similarity_vector = ArrayField(
        models.FloatField(), null=True, blank=True, verbose_name="feature vector"
    )
    next_detection = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="previous_detections",
        db_index=False,
        help_text="The next detection of the same individual, as linked by tracking.",
    )
    link_cost = models.FloatField(
        null=True, blank=True, help_text="The cost of the link to the next detection."
    )

    objects: ClassVar[ProjectQuerySet["Detection"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            # A unique index, so that changes of the project wait for new classifications.
            models.UniqueConstraint(fields=["project", "id"], name="detection_project_id"),
            score_constraint("detection_score", name="detection_score_within_0_and_1"),
            # Deferred, so that one statement can swap links.
            models.UniqueConstraint(
                fields=["next_detection"],
                name="detection_unique_next_detection",
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return f"Detection {self.pk}"

    def get_bbox(self) -> BoundingBox | None:
        """Return the box, or None if it is missing or invalid."""
        return BoundingBox.from_coords(self.bbox, raise_on_error=False)

    def associate_new_occurrence(self) -> "Occurrence":
        """Return the occurrence of this detection, and create it if there is none."""
        if self.occurrence is not None:
            return self.occurrence
        capture = self.source_image
        model: Any = self._meta.get_field("occurrence").related_model
        occurrence: Occurrence = model(
            event_id=capture.event_id,
            deployment_id=capture.deployment_id,
            project_id=capture.project_id,
        )
        with transaction.atomic():
            occurrence.save(update_determination=False)
            self.occurrence = occurrence
            self.save(update_fields=["occurrence", "updated_at"])
            occurrence.save()
        return occurrence
