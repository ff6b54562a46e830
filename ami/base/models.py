from django.db import models
from django.db.models import Q

from ami.base import lookups  # noqa: F401 -- registers them


class BaseModel(models.Model):
    """When a row was made and last written."""

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


def score_constraint(field: str, *, name: str) -> models.CheckConstraint:
    """Holds a column within 0 and 1, or null."""
    within = Q((f"{field}__gte", 0), (f"{field}__lte", 1))
    return models.CheckConstraint(condition=Q((f"{field}__isnull", True)) | within, name=name)
