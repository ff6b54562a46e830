"""How the detections of a scope are cut into batches of whole occurrences."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import QuerySet

from ami.main.models import Detection

# A unit is an occurrence, or a detection without one under its negative id; its rank is 1 + the
# number of rows before it.
PLAN = """
WITH placed AS (
    SELECT unit, (rank() OVER (ORDER BY unit) - 1) / %s AS batch
    FROM (SELECT COALESCE(occurrence_id, -id) AS unit FROM ({scope}) scope) units
)
SELECT unit < 0, min(abs(unit)), max(abs(unit)), count(*)
FROM placed GROUP BY unit < 0, batch ORDER BY unit < 0, batch
"""


@dataclass(frozen=True)
class Batch:
    """Detections that are worked on in one transaction.

    All that the scope holds of the occurrences `first` to `last`, or, where `loose`, those
    detections `first` to `last` that have no occurrence. `size` is their number when planned.
    """

    scope: QuerySet[Detection]
    loose: bool
    first: int
    last: int
    size: int

    @property
    def detections(self) -> QuerySet[Detection]:
        if self.loose:
            return self.scope.filter(occurrence=None, pk__range=(self.first, self.last))
        return self.scope.filter(occurrence__gte=self.first, occurrence__lte=self.last)


def plan_batches(scope: QuerySet[Detection], *, size: int) -> list[Batch]:
    """Cut `scope` into batches of about `size` detections, in one query.

    A batch ends with the occurrence that fills it, so it may be larger by what that one holds; one
    that begins the detections without an occurrence, or ends them, may be smaller.
    """
    rows, params = scope.order_by().values("id", "occurrence_id").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(PLAN.format(scope=rows), [size, *params])
        return [Batch(scope, *row) for row in cursor.fetchall()]
