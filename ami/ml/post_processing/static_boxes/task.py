"""Static boxes: mark detections of dirt and shadows, which stay in place, as "Not identifiable"."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from django.db import connection
from pydantic import Field, validator

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
from ami.ml.post_processing.static_boxes.places import Place, overlaps

MOST = 200
FAULTS = """
SELECT fault, count(*), COALESCE(array_agg(id ORDER BY id) FILTER (WHERE fault IS NOT NULL), '{}')
FROM sized GROUP BY fault ORDER BY fault
"""


class StaticBoxesConfig(ScopedConfig):
    source_image_collection_id: RowId | None = None
    min_captures: int = Field(
        20,
        ge=2,
        le=100_000,
        title="Captures",
        description="Show places where a box stays on at least this many captures.",
    )
    min_nights: int = Field(
        2,
        ge=1,
        le=1_000,
        title="Nights",
        description="Show places where a box stays on at least this many nights.",
    )
    iou: float = Field(
        0.9,
        ge=0.5,
        le=1,
        title="Overlap",
        description="A box stays at a place if their intersection ÷ union is at least this.",
    )
    places: list[str] = Field(
        [],
        max_items=MOST,
        description="Tick dirt and shadows. Their detections become “Not identifiable”; if nothing "
        "is ticked, nothing is done.",
    )

    @validator("places", each_item=True)
    def is_a_place(cls, written: str) -> str:  # noqa: N805
        return str(Place.read(written))

    @validator("places")
    def in_one_order(cls, written: list[str]) -> list[str]:  # noqa: N805
        return [str(place) for place in sorted(set(map(Place.read, written)))]


@register
class StaticBoxesTask(BasePostProcessingTask):
    key = "static_boxes"
    name = "Static boxes"
    description = "Marks boxes that stay in place, such as dirt, as “Not identifiable”."
    docs = "reference/methods/static_boxes.html"
    config_schema = StaticBoxesConfig
    measure = Measure(
        label="Overlap with the nearest ticked place",
        when=">=",
        effect="flagged",
        thresholds=lambda config: {"": Threshold(config.iou, "iou")},
    )
    counters = (
        "detections_checked",
        "detections_flagged",
        "detections_skipped",
        "occurrences_updated",
    )

    config: StaticBoxesConfig

    def nothing_to_do(self) -> str | None:
        if reason := super().nothing_to_do():
            return reason
        if not self.places:
            return "No place was ticked."
        traps = {place.deployment_id for place in self.places}
        if self.scope.filter(source_image__deployment__in=traps).exists():
            return None
        return "No detection in scope is from a deployment of a ticked place."

    @cached_property
    def places(self) -> list[Place]:
        return [Place.read(written) for written in self.config.places]

    def consult(self) -> dict[str, Any]:
        return consult_not_identifiable()

    def prepare(self) -> None:
        """Raises JobFailedError if the taxon that the run was planned with no longer exists."""
        self.taxon = not_identifiable(self.basis)

    def process(self, batch: Batch) -> None:
        self._count(batch)
        found = overlaps(batch.detections, self.places)
        self.measured(list(found), list(found.values()))
        static = [pk for pk, iou in found.items() if iou >= self.config.iou]
        flag_detections(self, static, taxon=self.taxon, metadata={"iou": self.config.iou})

    def compare(self, batch: Batch, configs: Sequence[Any]) -> Iterator[Change]:
        found = overlaps(batch.detections, self.places)
        ids = np.array(list(found), dtype=np.int64)
        overlap = np.array(list(found.values()))
        static = (overlap >= config.iou for config in configs)
        return compare_flags(self, ids, static, taxon=self.taxon)

    def _count(self, batch: Batch) -> None:
        columns = ("id", "source_image_id", "bbox")
        rows, params = batch.detections.order_by().values(*columns).query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(sized(rows) + FAULTS, params)
            faults = cursor.fetchall()
        for fault, number, ids in faults:
            self.count(detections_checked=number)
            if fault is not None:
                self.count(detections_skipped=number)
                self.skip(fault, rows=number, ids=ids)
