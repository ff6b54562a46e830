"""Jobs on copies of one night, and ways to disturb them."""

from typing import Any

import pytest
from django.db.models import Sum

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.jobs.models import Job
from ami.jobs.states import ATTEMPTS
from ami.jobs.tests.chaos import Site
from ami.jobs.tests.job_types import make_job
from ami.jobs.transitions import carrier
from ami.jobs.watch.health import lost_enqueues, stale_jobs
from ami.main.models import Identification, SourceImageCollection
from ami.ml.post_processing.service import JOB_TYPE
from ami.testing.likeness import Likeness, highest_ids
from config.tests.processes import wait_until


def make_night(*, occurrences: int) -> None:
    """Tracks with boxes of every kind; some have identifications."""
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
    """A Job of a method on a copy of the database, which a test disturbs."""

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
        carrier(self.job)

    def has_ended(self) -> bool:
        self.job.refresh_from_db()
        return self.job.is_final

    def result(self) -> dict[str, Any]:
        """Wait until the Job has ended; return its results."""
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
        carrier(self.job).publish()

    def rows_total(self) -> int:
        total: int = self.job.parts.aggregate(rows=Sum("rows_total", default=0))["rows"]
        return total

    def reach_share(self, share: float) -> None:
        """Wait until this share of the rows is done."""
        wait_until(self.job.parts.filter(is_planned=True).exists)
        self.reach(int(share * self.rows_total()))

    def reach(self, rows: int) -> None:
        """Wait until this number of rows is done."""

        def is_reached() -> bool:
            assert not self.has_ended(), self.job.error
            return self.rows_done() >= rows

        wait_until(is_reached, seconds=60)

    def process_that_is(self, moment: str) -> int:
        """Wait for the moment; return a process that may be killed.

        A part with its last claim must not lose its worker, because that would fail its Job.
        """
        pid = self.site.process_that_is(moment)
        while self.job.parts.filter(attempts__gte=ATTEMPTS).exists():
            pid = self.site.process_that_is(moment)
        return pid

    def tick(self) -> bool:
        """Look for lost messages, as beat does every minute; return whether the Job has ended.

        A worker counts as gone after 3 seconds instead of 30.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ami.jobs.watch.broker.ALIVE_SECONDS", 3)
            lost_enqueues()
        return self.has_ended()

    def goes_on_by_ticks(self, *, beyond: int) -> bool:
        """Whether more than `beyond` rows are done, after one more tick."""
        return self.tick() or self.rows_done() > beyond

    def heal(self) -> None:
        """Let the health check consider every worker silent."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Job, "STALLED_JOBS_MAX_MINUTES", 0)
            lost_enqueues()
            stale_jobs()
