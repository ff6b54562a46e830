"""Small size filter: mark detections too small to identify as "Not identifiable"."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from pydantic import Field

from ami.base.ids import RowId
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.boxes import sized
from ami.ml.post_processing.changes import Change
from ami.ml.post_processing.flagging import (
    compare_flags,
    consult_not_identifiable,
    flag_detections,
    not_identifiable,
)
from ami.ml.post_processing.measures import Measure, Threshold
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.scopes import ScopedConfig

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
    docs = "reference/methods/small_size_filter.html"
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

    def compare(self, batch: Batch, configs: Sequence[Any]) -> Iterator[Change]:
        sizes = self._read(batch, AREAS)
        ids = np.array([pk for pk, _ in sizes], dtype=np.int64)
        areas = np.array([area for _, area in sizes])
        small = (areas < config.size_threshold for config in configs)
        return compare_flags(self, ids, small, taxon=self.taxon)

    def _read(self, batch: Batch, ending: str, *values: float) -> list[Any]:
        """What the query that ends so reads of the batch."""
        detections, params = batch.detections.values(
            "id", "source_image_id", "bbox"
        ).query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(sized(detections) + ending, [*params, *values])
            return list(cursor.fetchall())
