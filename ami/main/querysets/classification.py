from typing import TYPE_CHECKING

from django.db.models import F

from ami.main.access import ProjectQuerySet

if TYPE_CHECKING:
    from ami.main.models.classification import Classification  # noqa: F401, named in the base below


class ClassificationQuerySet(ProjectQuerySet["Classification"]):
    def best_first(self) -> "ClassificationQuerySet":
        """Return those with a taxon, in the order of the determination rule.

        `ami.main.determinations` has the same order in SQL.
        """
        return self.filter(taxon__isnull=False).order_by(
            "-terminal",
            "-taxon__identifiable",
            F("score").desc(nulls_last=True),
            "-timestamp",
            "-pk",
        )

    def occurrence_ids(self) -> list[int]:
        """Return the ids of their occurrences."""
        ids = self.filter(detection__occurrence__isnull=False).values_list(
            "detection__occurrence", flat=True
        )
        return sorted(set(ids))
