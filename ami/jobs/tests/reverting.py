"""Run a method on rows of every kind, revert it, and compare the rows."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from ami.base.tests.factories import make_classification, make_taxon, make_user
from ami.jobs.engine import runner
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.tests.job_types import make_job
from ami.main.models import (
    Classification,
    Detection,
    Identification,
    Occurrence,
    SourceImageCollection,
    Taxon,
)
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import CountingTask, MergingTask, make_scope, registered


def net_rows(job: Job) -> int:
    """The number of rows that a Job has changed."""
    fates: dict[tuple[str, int], list[str]] = {}
    for model, pk, kind in job.changes.order_by("pk").values_list("model", "object_id", "kind"):
        fates.setdefault((model, pk), []).append(kind)
    return sum((kinds[0], kinds[-1]) != ("created", "deleted") for kinds in fates.values())


def run(
    capture_set: SourceImageCollection,
    task_cls: type[BasePostProcessingTask] = SmallSizeFilterTask,
    **config: Any,
) -> Job:
    """A Job of the method that has ended."""
    config["source_image_collection_id"] = capture_set.pk
    job = make_job(job_type_key=JOB_TYPE, params={"task": task_cls.key, "config": config})
    runner.run(job.pk)
    return ended(job)


def revert(job: Job) -> Job:
    reverting = request_revert(job)
    runner.run(reverting.pk)
    return ended(reverting)


def ended(job: Job) -> Job:
    job.refresh_from_db()
    assert (job.status, job.error) == (JobState.SUCCESS, "")
    return job


def make_night(*, small: bool = True) -> tuple[SourceImageCollection, Occurrence]:
    """One occurrence with two classified detections, whose boxes may be too small."""
    capture_set = make_scope(2)
    taxon = make_taxon()
    for detection in Detection.objects.all():
        if small:
            Detection.objects.filter(pk=detection.pk).update(bbox=[1, 1, 3, 3])
        make_classification(detection=detection, taxon=taxon, score=0.7)
    occurrence = Occurrence.objects.get()
    occurrence.save()
    return capture_set, occurrence


class SupersedingTask(CountingTask):
    """Supersedes every terminal classification."""

    key = "superseding"
    name = "Superseding"

    def prepare(self) -> None:
        super().prepare()
        self.taxon = Taxon.objects.get_or_create(name="Superseding")[0]

    def process(self, batch: Batch) -> None:
        self.supersede(batch.detections)

    def supersede(self, detections: QuerySet[Detection]) -> None:
        for former in Classification.objects.filter(
            detection__in=detections, terminal=True
        ).select_related("detection"):
            Classification.objects.filter(pk=former.pk).update(terminal=False)
            make_classification(
                detection=former.detection,
                taxon=self.taxon,
                applied_to=former,
                job=self.job,
                score=0.9,
            )
        self.update_determinations(detections.values_list("occurrence_id", flat=True))


@pytest.fixture
def methods() -> Iterator[None]:
    with registered(MergingTask), registered(SupersedingTask):
        yield


def merge(capture_set: SourceImageCollection) -> Job:
    return run(capture_set, MergingTask)


def make_tracks() -> SourceImageCollection:
    """Occurrences with identifications, including withdrawn ones, and rows with unusual values."""
    capture_set = make_scope(2, 1, 3, loose=1)
    odd = [float("nan"), float("inf"), -0.0, 5e-324, 0.1]
    for number, detection in enumerate(Detection.objects.order_by("pk")):
        make_classification(detection=detection, scores=odd, logits=[None, 1.0])
        make_classification(
            detection=detection, terminal=False, score=-0.0, metadata={"a": [1.0, "é", None]}
        )
        Classification.objects.create(detection=detection, scores=odd, metadata={"n": number})
    for occurrence in Occurrence.objects.order_by("pk")[:2]:
        person = make_user()
        Identification.objects.create(occurrence=occurrence, user=person, comment="A “comment”")
        Identification.objects.create(occurrence=occurrence, taxon=make_taxon(), withdrawn=True)
    with connection.cursor() as cursor:  # what Python's driver does not write
        cursor.execute("UPDATE main_classification SET metadata = 'null' WHERE terminal")
        cursor.execute("UPDATE main_classification SET score = '-0' WHERE NOT terminal")
        cursor.execute("UPDATE main_occurrence SET determination_score = '-0'")
        cursor.execute("UPDATE main_detection SET similarity_vector = '{-0,NaN,NULL,1e-310}'")
    return capture_set
