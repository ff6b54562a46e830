"""Split the detections of a scope into batches of whole units."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet

from ami.jobs.engine.work import Planned
from ami.main.models import Detection
from ami.ml.post_processing.scopes import Chosen

# A detection without a unit counts as a unit with its negative id. All rows of a unit have the same
# rank, 1 + the number of rows before the unit, so they fall into the same batch.
PLAN = """
WITH placed AS (
    SELECT id, unit, (rank() OVER (ORDER BY unit) - 1) / %s AS batch
    FROM (SELECT id, COALESCE(unit_id, -id) AS unit FROM ({scope}) scope) units
)
SELECT count(*), unit < 0, min(abs(unit)), max(abs(unit)), bit_xor(hashint8extended(id, 0))
FROM placed GROUP BY unit < 0, batch ORDER BY unit < 0, batch
"""


@dataclass(frozen=True)
class Unit:
    """What no batch may split: the detections that have the same id in `column`."""

    column: str


OCCURRENCE = Unit("occurrence_id")
EVENT = Unit("source_image__event_id")


@dataclass(frozen=True)
class Batch:
    """The detections that are processed in one transaction.

    These are all detections of the chosen rows in the units `first` to `last`. If `loose`, they are
    the detections `first` to `last` that have no unit. `digest` is that of their ids when they were
    planned; combined by XOR, those of several batches tell whether a scope is the same as before.
    """

    chosen: Chosen
    unit: Unit
    loose: bool
    first: int
    last: int
    digest: int = 0

    @property
    def detections(self) -> QuerySet[Detection]:
        """The detections of the batch, in no particular order; not evaluated.

        What they read does not grow with the scope.
        """
        column = self.unit.column
        within: dict[str, Any] = {f"{column}__gte": self.first, f"{column}__lte": self.last}
        if self.loose:
            within = {f"{column}__isnull": True, "pk__range": (self.first, self.last)}
        return self.chosen.among(Detection.objects.filter(**within))


@dataclass(frozen=True)
class PickedBatch(Batch):
    """The detections of some units; of detections without a unit, `ids` are their own."""

    ids: AbstractSet[int] = frozenset()

    @property
    def detections(self) -> QuerySet[Detection]:
        column = self.unit.column
        within: dict[str, Any] = {f"{column}__any_of": self.ids}
        if self.loose:
            within = {f"{column}__isnull": True, "pk__any_of": self.ids}
        return self.chosen.among(Detection.objects.filter(**within))


def plan_batches(
    scope: QuerySet[Detection], *, size: int, unit: Unit = OCCURRENCE
) -> list[Planned]:
    """Split `scope` into batches of about `size` detections, in one query.

    The key of a batch holds `loose`, `first`, `last` and `digest`, as in Batch. A batch ends with
    the unit that fills it, so it may be larger than `size` by part of that unit. The first and the
    last batch of the detections without a unit may be smaller.
    """
    units = scope.order_by().annotate(unit_id=F(unit.column)).values("id", "unit_id")
    rows, params = units.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(PLAN.format(scope=rows), [size, *params])
        return [Planned(rows, key) for rows, *key in cursor.fetchall()]
