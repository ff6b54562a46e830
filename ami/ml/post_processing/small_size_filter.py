"""Small size filter: mark detections too small to identify as "Not identifiable"."""

from typing import Any, NamedTuple

from django.db import connection
from pydantic import Field

from ami.base.ids import RowId
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.boxes import BOX_FAULTS
from ami.ml.post_processing.flagging import (
    consult_not_identifiable,
    flag_detections,
    not_identifiable,
)
from ami.ml.post_processing.measures import Measure, Threshold
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.scopes import ScopedConfig

# Reasons to skip come first, so that only sound boxes are measured. With OFFSET 0, the corners, the
# faults and the areas are computed once per row and not at each use. The sides are at least 1e-100
# because PostgreSQL raises an error if a product underflows.
SIZED = """
WITH box AS (
    SELECT d.id, d.bbox, s.width::float8 AS width, s.height::float8 AS height,
           LEAST(GREATEST(d.bbox[1], 0), COALESCE(s.width, 0)) AS x1,
           LEAST(GREATEST(d.bbox[2], 0), COALESCE(s.height, 0)) AS y1,
           LEAST(GREATEST(d.bbox[3], 0), COALESCE(s.width, 0)) AS x2,
           LEAST(GREATEST(d.bbox[4], 0), COALESCE(s.height, 0)) AS y2
    FROM ({detections}) d JOIN main_sourceimage s ON s.id = d.source_image_id
    OFFSET 0
), checked AS (
    SELECT *, CASE {faults} END AS fault FROM box OFFSET 0
), sized AS (
    SELECT id, fault, CASE WHEN fault IS NULL THEN
        GREATEST(x2 - x1, 1e-100) * GREATEST(y2 - y1, 1e-100) / (width * height) END AS area
    FROM checked
    OFFSET 0
)
"""
VERDICTS = """, judged AS (
    SELECT id, COALESCE(fault, CASE WHEN area >= %s THEN 'large' ELSE 'small' END) AS verdict
    FROM sized
)
SELECT verdict, count(*), COALESCE(array_agg(id) FILTER (WHERE verdict <> 'large'), '{}')
FROM judged GROUP BY verdict ORDER BY verdict
"""
AREAS = "SELECT id, area FROM sized WHERE fault IS NULL"


class Verdict(NamedTuple):
    """The detections of a batch with the same verdict; `ids` holds those to flag or to skip."""

    name: str
    rows: int
    ids: list[int]


class SmallSizeFilterConfig(ScopedConfig):
    source_image_collection_id: RowId | None = None
    occurrence_id: RowId | None = None
    size_threshold: float = Field(
        0.0008,
        gt=0,
        lt=1,
        title="Size threshold",
        description="Flag detections whose box covers less than this share of the frame (0 to 1).",
    )


@register
class SmallSizeFilterTask(BasePostProcessingTask):
    key = "small_size_filter"
    name = "Small size filter"
    description = "Marks detections too small to identify as “Not identifiable”."
    config_schema = SmallSizeFilterConfig
    measure = Measure(
        label="Share of the frame that the box covers",
        when="<",
        effect="flagged",
        thresholds=lambda config: {"": Threshold(config.size_threshold, "size_threshold")},
        logarithmic=True,
    )
    counters = (
        "detections_checked",
        "detections_flagged",
        "detections_skipped",
        "occurrences_updated",
    )

    config: SmallSizeFilterConfig

    def consult(self) -> dict[str, Any]:
        return consult_not_identifiable()

    def prepare(self) -> None:
        """Raises JobFailedError if the taxon that the run was planned with no longer exists."""
        self.taxon = not_identifiable(self.basis)

    def process(self, batch: Batch) -> None:
        if self.gauge is not None:
            areas = self._read(batch, AREAS)
            self.measured([pk for pk, _ in areas], [area for _, area in areas])
        for verdict in map(Verdict._make, self._read(batch, VERDICTS, self.config.size_threshold)):
            self.count(detections_checked=verdict.rows)
            if verdict.name == "small":
                threshold = {"size_threshold": self.config.size_threshold}
                flag_detections(self, verdict.ids, taxon=self.taxon, metadata=threshold)
            elif verdict.name != "large":
                self.count(detections_skipped=verdict.rows)
                self.skip(verdict.name, rows=verdict.rows, ids=sorted(verdict.ids))

    def _read(self, batch: Batch, ending: str, *values: float) -> list[Any]:
        """What the query that ends so reads of the batch."""
        detections, params = batch.detections.values(
            "id", "source_image_id", "bbox"
        ).query.sql_with_params()
        sized = SIZED.format(detections=detections, faults=BOX_FAULTS)
        with connection.cursor() as cursor:
            cursor.execute(sized + ending, [*params, *values])
            return list(cursor.fetchall())
