"""Jobs that are put to the test: a copy of one night each, and what may disturb them."""

from typing import Any

from django.contrib.postgres.functions import RandomUUID
from django.db.models import CharField, Exists, Max, OuterRef, Q, Sum
from django.db.models.functions import Cast

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.states import PartState
from ami.jobs.tests.chaos import Site
from ami.jobs.tests.job_types import make_job
from ami.jobs.tests.likeness import Likeness, highest_ids
from ami.main.models import Identification, SourceImageCollection
from ami.ml.post_processing.service import JOB_TYPE
from config.tests.processes import wait_until

MOST_CLAIMS = 2


def make_night(*, occurrences: int) -> None:
    """Tracks with boxes of every kind, some with a person's word."""
    capture, taxa = make_capture(), [make_taxon() for _ in range(5)]
    for number in range(occurrences):
        occurrence = make_occurrence(deployment=capture.deployment)
        for frame in range(1 + number % 3):
            small = (number + frame) % 2
            detection = make_detection(
                source_image=capture,
                occurrence=occurrence,
                bbox=None if number % 20 == 7 else [1, 1, 3, 3] if small else [1, 1, 500, 500],
            )
            make_classification(detection=detection, taxon=taxa[(number + frame) % 5])
        if number % 10 == 3:
            Identification.objects.create(occurrence=occurrence, taxon=taxa[0])
        occurrence.save()
    make_capture_set([capture])


class Trial:
    """A Job of a method on a copy of the database, that is put to the test."""

    def __init__(self, site: Site, method: str, *, dry_run: bool) -> None:
        self.site = site
        self.marks = highest_ids()
        config = {"source_image_collection_id": SourceImageCollection.objects.get().pk}
        self.job = make_job(
            job_type_key=JOB_TYPE,
            params={"task": method, "config": config},
            dry_run=dry_run,
            task_id=f"first-of-{method}",
        )

    def has_ended(self) -> bool:
        self.job.refresh_from_db()
        return self.job.is_final

    def result(self) -> dict[str, Any]:
        """Wait for the Job's end; returns what it left."""
        wait_until(self.has_ended, seconds=90)
        return self.likeness().of(self.job)

    def likeness(self) -> Likeness:
        return Likeness(self.marks)

    def rows_done(self) -> int:
        done: int = self.job.parts.aggregate(rows=Sum("rows_done", default=0))["rows"]
        return done

    def begin(self) -> None:
        """Start a worker, and give it the Job."""
        self.site.start_worker()
        self.job.publish()

    def rows_total(self) -> int:
        total: int = self.job.parts.aggregate(rows=Sum("rows_total", default=0))["rows"]
        return total

    def reach_share(self, share: float) -> None:
        """Wait until that share of the rows is done."""
        wait_until(self.job.parts.exists)
        self.reach(int(share * self.rows_total()))

    def reach(self, rows: int) -> None:
        """Wait until so many rows are done; no part may be worn out by what comes then."""

        def reached() -> bool:
            claims = self.job.parts.aggregate(most=Max("attempts", default=0))["most"]
            assert not self.has_ended(), self.job.error
            return claims <= MOST_CLAIMS and self.rows_done() >= rows

        wait_until(reached, seconds=60)

    def heal(self) -> None:
        """Send again what may have been lost, as the health check does with what is silent.

        Under new ids: with several messages under one, each worker would take the part from the
        one before it.
        """
        left = JobPart.objects.filter(job=OuterRef("pk")).exclude(state=PartState.DONE)
        lost = Q(status=JobState.PENDING) | Q(~Exists(left), status=JobState.STARTED)
        for job in Job.objects.filter(lost, pk=self.job.pk):
            job.publish()
        undone = JobPart.objects.filter(job=self.job.pk, job__status=JobState.STARTED)
        undone = undone.exclude(state=PartState.DONE)
        undone.update(task_id=Cast(RandomUUID(), CharField()))
        for part in undone.order_by("number"):
            part.publish()
