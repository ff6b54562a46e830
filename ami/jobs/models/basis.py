from django.db import models
from django.utils import timezone


class Basis(models.Model):
    """The values that Jobs were planned with besides the rows of their scope, such as a taxa list.

    Jobs with equal values share a row, because the labels of a classifier with their ancestors can
    take 1 MB.
    """

    digest = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of the value.")
    value = models.JSONField()
    used_at = models.DateTimeField(
        default=timezone.now, help_text="When a Job was last planned with it."
    )

    class Meta:
        verbose_name_plural = "bases"

    def __str__(self) -> str:
        return self.digest
