from typing import ClassVar

from django.db import models
from django.db.models import Case, Q, When
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast
from django.db.models.lookups import Contains
from django.utils import timezone

from ami.main.access import ProjectQuerySet

# The names of the counters that warn of a created row. They are a list in its metadata, which the
# journal stores as text.
METADATA = KeyTextTransform("metadata", "after")
WARNINGS = KeyTransform("warnings", Cast(METADATA, models.JSONField()))
# The condition of the index of the few rows with warnings. A query must repeat it to use the index.
HAS_WARNINGS = Q(Contains(METADATA, '"warnings"'))


NAMES_CHANGED = Q(taxon_before__isnull=False) | Q(taxon_after__isnull=False)


def _determination(side: str) -> models.GeneratedField:
    """The taxon that a changed occurrence had, or has; a column, so that an index can hold it."""
    taxon = Cast(KeyTextTransform("determination_id", side), models.BigIntegerField())
    is_one = Q(kind="changed", model="main.occurrence")
    return models.GeneratedField(
        expression=Case(When(is_one, then=taxon)),
        output_field=models.BigIntegerField(null=True),
        db_persist=True,
        null=True,
    )


class JobChange(models.Model):
    """One row that a Job created, changed or deleted, or that a revert left alone.

    It is written by the triggers of :mod:`ami.jobs.journal.triggers` in the transaction of the
    batch. Values are stored by column name: `before` holds the former values of a changed row or
    all values of a deleted row; `after` holds the new values of a changed row or the short columns
    of a created row. Floating-point numbers, arrays and JSON are stored as PostgreSQL's text, which
    is exact.
    """

    project_path = "job__project"

    class Kind(models.TextChoices):
        CREATED = "created", "Created"
        CHANGED = "changed", "Changed"
        DELETED = "deleted", "Deleted"
        LEFT = "left", "Left alone"

    # No constraint, because its check would cost as much as writing the row. It is not needed: a
    # batch commits only while its Job exists, and Django deletes the changes with the Job.
    job = models.ForeignKey(
        "jobs.Job",
        on_delete=models.CASCADE,
        related_name="changes",
        db_index=False,
        db_constraint=False,
    )
    batch = models.BigIntegerField(help_text="The transaction that made the change.")
    kind = models.CharField(max_length=8, choices=Kind)
    model = models.CharField(
        max_length=64, help_text="The label of the model, such as main.classification."
    )
    object_id = models.BigIntegerField("object")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    inputs = models.BigIntegerField(
        null=True,
        editable=False,
        help_text="A hash of the rows that the determination was based on at the time.",
    )
    created_at = models.DateTimeField("time", default=timezone.now)
    taxon_before = _determination("before")
    taxon_after = _determination("after")

    objects: ClassVar[ProjectQuerySet["JobChange"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "change"
        indexes = [
            # A run inserts one entry per changed row in each index, so pages that count by kind and
            # table share this one. Only the rows left alone, often few among many, have their own.
            models.Index(fields=["job", "id"], include=["kind", "model"], name="jobchange_job_id"),
            models.Index(
                fields=["job", "id"], condition=models.Q(kind="left"), name="jobchange_left"
            ),
            models.Index(fields=["job", "id"], name="jobchange_warned", condition=HAS_WARNINGS),
            models.Index(
                fields=["job", "taxon_before", "taxon_after", "id"],
                name="jobchange_taxa",
                condition=NAMES_CHANGED,
            ),
            models.Index(fields=["object_id", "id"], name="jobchange_object_id"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.model} {self.object_id}"
