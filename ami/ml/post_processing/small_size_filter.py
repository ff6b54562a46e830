"""Small size filter: mark detections too small to identify as "Not identifiable"."""

import json
from typing import Any, NamedTuple

from django.db import connection
from pydantic import Field

from ami.base.ids import RowId
from ami.main.models import Taxon, TaxonRank
from ami.main.models.taxon import NOT_IDENTIFIABLE
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.boxes import BOX_FAULTS
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.scopes import ScopedConfig, existing_row

TAXON = f"Taxon “{NOT_IDENTIFIABLE}”"
SOUND = {"large", "flagged before"}

# Reasons to skip come first, so that only sound boxes are measured. With OFFSET 0, the corners are
# computed once per row and not at each use. The sides are at least 1e-100 because PostgreSQL raises
# an error if a product underflows.
VERDICTS = """
WITH box AS (
    SELECT d.id, d.occurrence_id, d.bbox, s.width::float8 AS width, s.height::float8 AS height,
           LEAST(GREATEST(d.bbox[1], 0), COALESCE(s.width, 0)) AS x1,
           LEAST(GREATEST(d.bbox[2], 0), COALESCE(s.height, 0)) AS y1,
           LEAST(GREATEST(d.bbox[3], 0), COALESCE(s.width, 0)) AS x2,
           LEAST(GREATEST(d.bbox[4], 0), COALESCE(s.height, 0)) AS y2
    FROM ({detections}) d JOIN main_sourceimage s ON s.id = d.source_image_id
    OFFSET 0
), judged AS MATERIALIZED (
    SELECT id, occurrence_id, CASE
        {faults}
        WHEN GREATEST(x2 - x1, 1e-100) * GREATEST(y2 - y1, 1e-100) / (width * height)
             >= %s THEN 'large'
        WHEN EXISTS (
            SELECT FROM main_classification c
            WHERE c.detection_id = box.id AND c.terminal
              AND c.algorithm_id = %s AND c.taxon_id = %s
        ) THEN 'flagged before'
        ELSE 'small' END AS verdict
    FROM box
)
SELECT verdict, count(*),
       COALESCE(array_agg(id) FILTER (WHERE verdict NOT IN ('large', 'flagged before')), '{{}}'),
       COALESCE(array_agg(occurrence_id) FILTER (
           WHERE verdict = 'small' AND occurrence_id IS NOT NULL), '{{}}')
FROM judged GROUP BY verdict ORDER BY verdict
"""

# Demote the current classifications, and record the best of them as the one that the flag is
# applied to.
FLAG = """
WITH former AS (
    UPDATE main_classification SET terminal = false, updated_at = now()
    WHERE detection_id = ANY(%(detections)s) AND terminal
    RETURNING detection_id, id, taxon_id, score, timestamp
), superseded AS (
    SELECT DISTINCT ON (detection_id) detection_id, id FROM former
    ORDER BY detection_id, taxon_id IS NULL, score DESC NULLS LAST, timestamp DESC, id DESC
)
INSERT INTO main_classification (
    created_at, updated_at, timestamp, detection_id, taxon_id, score, terminal,
    algorithm_id, applied_to_id, job_id, metadata
)
SELECT now(), now(), now(), detection.id, %(taxon)s, 1.0, true,
       %(algorithm)s, superseded.id, %(job)s, %(metadata)s::jsonb
FROM unnest(%(detections)s::bigint[]) AS detection (id)
LEFT JOIN superseded ON superseded.detection_id = detection.id
ORDER BY detection.id
"""


class Verdict(NamedTuple):
    """The detections of a batch with the same verdict.

    `ids` holds those to flag or to skip; `occurrence_ids` holds the occurrences of those to flag,
    possibly more than once.
    """

    name: str
    rows: int
    ids: list[int]
    occurrence_ids: list[int]


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
    counters = (
        "detections_checked",
        "detections_flagged",
        "detections_skipped",
        "occurrences_updated",
    )

    config: SmallSizeFilterConfig

    def consult(self) -> dict[str, Any]:
        named = Taxon.objects.filter(name=NOT_IDENTIFIABLE)
        return {TAXON: named.values_list("pk", flat=True).first()}

    def prepare(self) -> None:
        """Raises JobFailedError if the taxon that the run was planned with no longer exists."""
        fields = {"rank": TaxonRank.UNKNOWN, "identifiable": False}
        if pk := self.basis[TAXON]:
            self.taxon = existing_row(Taxon, pk)
        else:
            self.taxon, _ = Taxon.objects.get_or_create(name=NOT_IDENTIFIABLE, defaults=fields)
        # An imported row may have a rank and be identifiable; it would then win over good frames.
        Taxon.objects.filter(pk=self.taxon.pk).exclude(**fields).update(**fields)

    def process(self, batch: Batch) -> None:
        for verdict in self._judge(batch):
            self.count(detections_checked=verdict.rows)
            if verdict.name == "small":
                self._flag(verdict.ids)
                self.update_determinations(set(verdict.occurrence_ids))
            elif verdict.name not in SOUND:
                self.count(detections_skipped=verdict.rows)
                self.skip(verdict.name, rows=verdict.rows, ids=sorted(verdict.ids))

    def _judge(self, batch: Batch) -> list[Verdict]:
        detections, params = batch.detections.values(
            "id", "occurrence_id", "source_image_id", "bbox"
        ).query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(
                VERDICTS.format(detections=detections, faults=BOX_FAULTS),
                [*params, self.config.size_threshold, self.algorithm.pk, self.taxon.pk],
            )
            return [Verdict(*row) for row in cursor.fetchall()]

    def _flag(self, detection_ids: list[int]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                FLAG,
                {
                    "detections": detection_ids,
                    "taxon": self.taxon.pk,
                    "algorithm": self.algorithm.pk,
                    "job": self.job.pk if self.job else None,
                    "metadata": json.dumps({"size_threshold": self.config.size_threshold}),
                },
            )
        self.count(detections_flagged=len(detection_ids))
