from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet
from ami.main.determinations import update_determinations
from ami.main.models.classification import Classification
from ami.main.models.occurrence import Occurrence
from ami.main.models.taxon import Taxon
from ami.main.project_column import ProjectColumn

# Answers in which the person named the taxon, and did not confirm a name with one click. In the
# review of a sample, the name was hidden, too: people who see it first confirm it with one click if
# they agree, so that only the others name a taxon.
INDEPENDENT = models.Q(
    models.Q(sample__isnull=True) | models.Q(blind=True),
    agreed_with_prediction__isnull=True,
    agreed_with_identification__isnull=True,
)
# The same, of an identification `i`.
INDEPENDENT_SQL = """(
    i.agreed_with_prediction_id IS NULL AND i.agreed_with_identification_id IS NULL
    AND (i.sample_id IS NULL OR i.blind))"""


class Identification(BaseModel):
    """The taxon that a person gave to an occurrence."""

    project_path = "occurrence__project"
    project_column = "project"

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
    project = ProjectColumn()
    withdrawn = models.BooleanField(default=False)
    comment = models.TextField(blank=True)

    # How independent the answer is. No constraints: the record of what a person agreed with, and
    # with it the fact that the answer is not independent, outlives the row.
    agreed_with_prediction = models.ForeignKey(
        Classification,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="agreeing_identifications",
        help_text="The classification whose name the person confirmed with one click.",
    )
    agreed_with_identification = models.ForeignKey(
        "self",
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="agreeing_identifications",
        help_text="The identification whose name the person confirmed with one click.",
    )
    blind = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The determination was hidden when the person answered.",
    )
    sample = models.ForeignKey(
        "review.Sample",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="identifications",
        help_text="The random sample in whose review the person answered.",
    )
    seconds = models.FloatField(
        null=True, blank=True, help_text="How long the person looked before answering."
    )

    objects: ClassVar[ProjectQuerySet["Identification"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        indexes = [
            # The determination rule reads the latest one first, without a sort.
            models.Index(fields=["occurrence", "created_at", "id"], name="identification_latest"),
            models.Index(fields=["project", "id"], name="identification_project_id"),
        ]

    def __str__(self) -> str:
        return f"Identification {self.pk}"

    @property
    def agrees(self) -> bool:
        """Whether the person confirmed a name with one click."""
        confirmed = (self.agreed_with_prediction_id, self.agreed_with_identification_id)
        return confirmed != (None, None)

    @property
    def is_independent(self) -> bool:
        """Whether the person named the taxon, as :data:`INDEPENDENT` demands it."""
        return not self.agrees and (self.sample_id is None or self.blind)

    @property
    def how(self) -> str:
        """How the answer came about, in words."""
        if self.agreed_with_identification_id is not None:
            return "agreed with a person"
        if self.agreed_with_prediction_id is not None:
            return "agreed with a classifier"
        return "named, blind" if self.blind else "named"

    def confirm(self) -> None:
        """Record that the person confirmed, with one click, a name that the occurrence has.

        A name that a person gave is confirmed before one that a classification gave.
        """
        same = {"occurrence": self.occurrence_id, "taxon": self.taxon_id, "withdrawn": False}
        said = Identification.objects.filter(**same).exclude(pk=self.pk)
        self.agreed_with_identification = said.order_by("-created_at", "-pk").first()
        if self.agreed_with_identification is None:
            rows = Classification.objects.filter(
                detection__occurrence=self.occurrence_id, taxon=self.taxon_id
            )
            self.agreed_with_prediction = rows.best_first().only("pk").first()

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
