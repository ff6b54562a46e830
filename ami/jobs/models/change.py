from django.db import models
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast
from django.utils import timezone

# The names of the counters that warn of a row which was created: a list in its metadata, which the
# journal keeps as PostgreSQL's text.
WARNINGS = KeyTransform("warnings", Cast(KeyTextTransform("metadata", "after"), models.JSONField()))


class JobChange(models.Model):
    """One row that a Job created, changed, deleted or, reverting another Job, left alone.

    Written by the triggers of :mod:`ami.jobs.journal`, inside the batch that it tells of. Values
    stand under the names of their columns: `before` holds the former ones of a changed row and the
    whole of a deleted one, `after` the new ones of a changed row and the narrow ones of a created
    one. Numbers with a fraction, arrays and JSON are kept as PostgreSQL's text, which is exact.
    """

    class Kind(models.TextChoices):
        CREATED = "created", "Created"
        CHANGED = "changed", "Changed"
        DELETED = "deleted", "Deleted"
        LEFT = "left", "Left alone"

    # Without a constraint, whose check would cost as much as writing the row: a batch commits only
    # while its Job is there, and Django deletes the changes with it.
    job = models.ForeignKey(
        "jobs.Job",
        on_delete=models.CASCADE,
        related_name="changes",
        db_index=False,
        db_constraint=False,
    )
    batch = models.BigIntegerField(help_text="The transaction that made it.")
    kind = models.CharField(max_length=8, choices=Kind)
    model = models.CharField(max_length=64, help_text="Such as main.classification.")
    object_id = models.BigIntegerField("object")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    inputs = models.BigIntegerField(
        null=True,
        editable=False,
        help_text="What the determination rested on when it was decided, or its row was moved.",
    )
    created_at = models.DateTimeField("time", default=timezone.now)

    class Meta:
        verbose_name = "change"
        indexes = [
            models.Index(fields=["job", "id"], name="jobchange_job_id"),
            models.Index(
                fields=["job", "kind", "id"], include=["model"], name="jobchange_job_kind_id"
            ),
            models.Index(fields=["object_id", "id"], name="jobchange_object_id"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.model} {self.object_id}"
