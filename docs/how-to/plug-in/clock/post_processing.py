"""Detections without a time are given the time of their capture."""

from django.db.models import OuterRef, Subquery
from pydantic import Field

from ami.main.models import Detection, SourceImage
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.scopes import RowId, ScopedConfig


class CaptureTimeConfig(ScopedConfig):
    source_image_collection_id: RowId | None = None
    overwrite: bool = Field(False, description="Also replace the times that detections have.")


class CaptureTimeTask(BasePostProcessingTask):
    key = "capture_time"
    name = "Capture time"
    config_schema = CaptureTimeConfig
    counters = ("times_copied",)

    config: CaptureTimeConfig

    def process(self, batch: Batch) -> None:
        ids = batch.detections.filter(source_image__timestamp=None).values_list("pk", flat=True)
        if timeless := list(ids):
            self.skip("capture without a time", rows=len(timeless), ids=timeless)
        rows = batch.detections.filter(source_image__timestamp__isnull=False)
        if not self.config.overwrite:
            rows = rows.filter(timestamp=None)
        captures = SourceImage.objects.filter(pk=OuterRef("source_image"))
        copied = Detection.objects.filter(pk__in=rows.values("pk")).update(
            timestamp=Subquery(captures.values("timestamp"))
        )
        self.count(times_copied=copied)
