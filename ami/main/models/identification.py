from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet
from ami.main.determinations import update_determinations
from ami.main.models.occurrence import Occurrence
from ami.main.models.taxon import Taxon


class Identification(BaseModel):
    """The taxon that a person gave to an occurrence."""

    project_path = "occurrence__project"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="identifications",
    )
    taxon = models.ForeignKey(
        Taxon, on_delete=models.SET_NULL, null=True, blank=True, related_name="identifications"
    )
    occurrence = models.ForeignKey(
        Occurrence, on_delete=models.CASCADE, related_name="identifications", db_index=False
    )
    withdrawn = models.BooleanField(default=False)
    comment = models.TextField(blank=True)

    objects: ClassVar[ProjectQuerySet["Identification"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        # The determination rule reads the latest one first, without a sort.
        indexes = [
            models.Index(fields=["occurrence", "created_at", "id"], name="identification_latest"),
        ]

    def __str__(self) -> str:
        return f"Identification {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic():
            former = Identification.objects.filter(pk=self.pk).values_list(
                "occurrence_id", flat=True
            )
            touched = {*former, self.occurrence_id}
            super().save(*args, **kwargs)
            update_determinations(touched)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            deleted = super().delete(*args, **kwargs)
            update_determinations([self.occurrence_id])
        return deleted
