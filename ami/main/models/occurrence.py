from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models, transaction
from django.db.models import F

from ami.base.models import BaseModel, ScoreField, score_constraint
from ami.main.access import ProjectQuerySet
from ami.main.determinations import update_determinations
from ami.main.models.classification import Classification
from ami.main.models.deployment import Deployment
from ami.main.models.event import Event
from ami.main.models.project import Project
from ami.main.models.taxon import Taxon

if TYPE_CHECKING:
    from ami.main.models.detection import Detection
    from ami.main.models.identification import Identification
    from ami.main.models.source_image import SourceImage


class Occurrence(BaseModel):
    """One individual, seen on one or more captures of a night."""

    project_path = "project"

    determination = models.ForeignKey(
        Taxon,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="occurrences",
        db_index=False,
    )
    determination_score = ScoreField(null=True, blank=True)
    event = models.ForeignKey(
        Event,
        verbose_name="night",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="occurrences",
    )
    deployment = models.ForeignKey(
        Deployment,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="occurrences",
        db_index=False,
    )
    project = models.ForeignKey(
        Project,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="occurrences",
        db_index=False,
    )

    objects: ClassVar[ProjectQuerySet["Occurrence"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        # Each includes the id, for filtered lists that are sorted from the newest row down.
        indexes = [
            models.Index(fields=["deployment", "id"], name="occurrence_deployment_id"),
            models.Index(fields=["determination", "id"], name="occurrence_determination_id"),
        ]
        constraints = [
            # A unique index, so that changes of the project wait for new identifications.
            models.UniqueConstraint(fields=["project", "id"], name="occurrence_project_id"),
            score_constraint("determination_score", name="occurrence_score_within_0_and_1"),
        ]

    def __str__(self) -> str:
        return f"Occurrence {self.pk}"

    def save(self, *args: Any, update_determination: bool = True, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        if update_determination:
            update_occurrence_determination(self)

    @property
    def best_prediction(self) -> Classification | None:
        """The classification that determines the taxon if no person has identified it."""
        return Classification.objects.filter(detection__occurrence=self).best_first().first()

    @property
    def best_identification(self) -> "Identification | None":
        """The latest identification that is not withdrawn and has a taxon."""
        return (
            self.identifications.filter(withdrawn=False, taxon__isnull=False)
            .order_by("-created_at", "-pk")
            .first()
        )

    @property
    def best_detection(self) -> "Detection | None":
        """The detection of the best prediction, or the first one if there is none."""
        prediction = self.best_prediction
        return prediction.detection if prediction else self.detections.order_by("pk").first()

    @property
    def first_appearance(self) -> "SourceImage | None":
        """The first capture that shows the individual."""
        detection = (
            self.detections.select_related("source_image")
            .order_by(F("source_image__timestamp").asc(nulls_last=True), "pk")
            .first()
        )
        return detection.source_image if detection else None


def update_occurrence_determination(
    occurrence: Occurrence, current_determination: Taxon | None = None, save: bool = True
) -> bool:
    """Apply the rule to one occurrence and return whether its taxon changed.

    The result is compared with `current_determination` if given, and otherwise with the row.
    `save=False` only sets the attributes of the instance.
    """
    with transaction.atomic():
        savepoint = transaction.savepoint()
        changes = update_determinations([occurrence.pk])
        occurrence.refresh_from_db(fields=["determination", "determination_score"])
        if not save:
            transaction.savepoint_rollback(savepoint)
    if current_determination is not None:
        return occurrence.determination_id != current_determination.pk
    return any(change.taxon_changed for change in changes)
