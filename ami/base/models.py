from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from ami.base import lookups  # noqa: F401 -- registers them


class BaseModel(models.Model):
    """An abstract model with the times of creation and of the last change."""

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


def change_rows(rows: Sequence[BaseModel], names: Sequence[str]) -> None:
    """Write the attributes `names` of rows of one model, and the time of the change."""
    if rows:
        now = timezone.now()
        for row in rows:
            row.updated_at = now
        manager = type(rows[0])._base_manager
        manager.bulk_update(rows, [*names, "updated_at"], batch_size=1000)


class ScoreField(models.FloatField[float | None, float | None]):
    """A score from 0 to 1.

    Values that exceed these bounds by at most `ROUNDING`, such as sums with a rounding error, are
    set to the bound. :func:`score_constraint` refuses all others.
    """

    ROUNDING = 1e-9

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        """Use Django's field in migrations."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.FloatField", args, options

    def get_prep_value(self, value: Any) -> Any:
        number = super().get_prep_value(value)
        if number is None or 0 <= number <= 1:
            return number
        nearest = min(max(number, 0.0), 1.0)
        return nearest if abs(number - nearest) <= self.ROUNDING else number


def score_constraint(field: str, *, name: str) -> models.CheckConstraint:
    """Return a constraint that a column is between 0 and 1, or null."""
    within = Q((f"{field}__gte", 0), (f"{field}__lte", 1))
    return models.CheckConstraint(condition=Q((f"{field}__isnull", True)) | within, name=name)
