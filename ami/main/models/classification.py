from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from ami.base.models import BaseModel, ScoreField, score_constraint
from ami.main.models.detection import Detection
from ami.main.models.taxon import Taxon
from ami.main.project_column import ProjectColumn
from ami.main.querysets.classification import ClassificationQuerySet


class Classification(BaseModel):
    """The taxon that one algorithm predicted for a detection.

    `terminal` marks a final result. An intermediate one was superseded by the row whose
    `applied_to` refers to it. `scores` and `logits` have one number per label of the category
    map, in the same order.
    """

    project_path = "detection__source_image__project"
    project_column = "project"

    detection = models.ForeignKey(
        Detection, on_delete=models.CASCADE, related_name="classifications"
    )
    project = ProjectColumn()
    taxon = models.ForeignKey(
        Taxon,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="classifications",
        db_index=False,
    )
    score = ScoreField(null=True, blank=True)
    scores = ArrayField(models.FloatField(), null=True, blank=True)
    logits = ArrayField(models.FloatField(), null=True, blank=True)
    terminal = models.BooleanField(default=True)
    timestamp = models.DateTimeField(default=timezone.now)
    algorithm = models.ForeignKey(
        "ml.Algorithm",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="classifications",
        db_index=False,
    )
    category_map = models.ForeignKey(
        "ml.AlgorithmCategoryMap",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="classifications",
        db_index=False,
    )
    applied_to = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="derived_classifications",
        db_index=False,
        help_text="The classification that this one supersedes.",
    )
    # No database constraint: checking it for each row would cost as much as the row's journal.
    # Triggers clear the column if the Job does not exist, or when it is deleted.
    job = models.ForeignKey(
        "jobs.Job",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="classifications",
        db_index=False,
        db_constraint=False,
        help_text="The run that wrote this classification.",
    )
    metadata = models.JSONField(
        default=dict, blank=True, help_text="Details of the result, such as the run's thresholds."
    )

    objects: ClassVar[ClassificationQuerySet] = ClassificationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        # Each includes the id, for filtered lists that are sorted from the newest row down.
        indexes = [
            models.Index(fields=["project", "id"], name="classification_project_id"),
            models.Index(fields=["taxon", "id"], name="classification_taxon_id"),
            models.Index(fields=["algorithm", "id"], name="classification_algorithm_id"),
            models.Index(
                fields=["job", "id"],
                name="classification_job_id",
                condition=Q(job__isnull=False),
            ),
            models.Index(
                fields=["applied_to"],
                name="classification_applied_to",
                condition=Q(applied_to__isnull=False),
            ),
        ]
        constraints = [score_constraint("score", name="classification_score_within_0_and_1")]

    def __str__(self) -> str:
        return f"Classification {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.category_map_id is None and self.algorithm is not None:
            self.category_map_id = self.algorithm.category_map_id
        super().save(*args, **kwargs)
