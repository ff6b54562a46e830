"""What people say about the occurrences of a scope, in random order."""

from typing import NamedTuple

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from ami.main.models import Identification
from ami.main.models.identification import INDEPENDENT_SQL
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import EVENT, OCCURRENCE
from ami.ml.post_processing.scopes import Chosen

MOST = 20_000  # identified occurrences

# The latest answer about each occurrence, and the latest independent one. The units are in an order
# that is random, but the same each time.
ANSWERS = """
WITH said AS (
    SELECT i.id, i.occurrence_id, i.taxon_id, i.created_at,
           {independent} AS independent
    FROM main_identification i
    WHERE NOT i.withdrawn AND i.taxon_id IS NOT NULL AND i.occurrence_id IN ({scope})
), latest AS (
    SELECT DISTINCT ON (occurrence_id) occurrence_id, taxon_id FROM said
    ORDER BY occurrence_id, created_at DESC, id DESC
), own AS (
    SELECT DISTINCT ON (occurrence_id) occurrence_id, taxon_id FROM said
    WHERE independent ORDER BY occurrence_id, created_at DESC, id DESC
), answered AS (
    SELECT latest.occurrence_id, {unit} AS unit, latest.taxon_id, COALESCE(own.taxon_id, 0) AS own
    FROM latest LEFT JOIN own USING (occurrence_id)
)
SELECT *, count(*) OVER () FROM answered
ORDER BY hashint8extended(unit, 0), unit, occurrence_id
LIMIT %s
"""
NIGHT = """COALESCE((
    SELECT min(s.event_id) FROM main_detection d JOIN main_sourceimage s ON s.id = d.source_image_id
    WHERE d.occurrence_id = latest.occurrence_id
), 0)"""
UNIT = {OCCURRENCE: "latest.occurrence_id", EVENT: NIGHT}


class Answers(NamedTuple):
    """What people say about n occurrences, whose units are in random order: ids, 0 for none.

    `total` are the identified occurrences of the scope, of which these are a random sample.
    """

    occurrences: NDArray[np.int64]
    units: NDArray[np.int64]
    truth: NDArray[np.int64]
    independent: NDArray[np.int64]
    total: int

    def first(self, number: int) -> "Answers":
        columns = {name: getattr(self, name)[:number] for name in self._fields[:-1]}
        return self._replace(**columns)


def read_answers(task_cls: type[BasePostProcessingTask], chosen: Chosen) -> Answers:
    """The latest answers about the identified occurrences of the scope, at most 20,000."""
    said = Identification.objects.filter(withdrawn=False, taxon__isnull=False)
    rows = chosen.scope.detections(chosen.ids).filter(occurrence__in=said.values("occurrence"))
    sql, params = rows.order_by().values("occurrence_id").query.sql_with_params()
    with connection.cursor() as cursor:
        unit = UNIT[task_cls.unit]
        cursor.execute(
            ANSWERS.format(scope=sql, unit=unit, independent=INDEPENDENT_SQL), [*params, MOST]
        )
        found = cursor.fetchall()
    total = found[0][-1] if found else 0
    columns = np.array([row[:-1] for row in found], dtype=np.int64).reshape(-1, 4).T
    return Answers(columns[0], columns[1], columns[2], columns[3], total)
