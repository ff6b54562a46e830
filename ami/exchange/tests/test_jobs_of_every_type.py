"""Promises of the run engine that Jobs of every type keep."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_classification,
    make_detection,
    make_occurrence,
)
from ami.exchange.tests.walked import import_of, shift_of
from ami.integrity.finding import Scope
from ami.integrity.service import new_repair
from ami.jobs.engine import runner
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.service import create_jobs, run_again
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import run_to_end
from ami.main.checks.declarations import CHECKS
from ami.main.models import Occurrence
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folder")]


def filtered(occurrence: Occurrence) -> Job:
    config = {"occurrence_id": occurrence.pk, "size_threshold": 0.9}
    return launch(SmallSizeFilterTask, [LaunchRow("Filter", occurrence.project, config)])[0]


def repaired(occurrence: Occurrence) -> Job:
    checks = [CHECKS["stale_determination"]]
    return create_jobs([new_repair(checks, scope=Scope(occurrence.project_id))])[0]


MAKERS: dict[str, Callable[[Any], Job]] = {
    "method": filtered,
    "import": lambda occurrence: import_of(occurrence.deployment, 1),
    "shift of a clock": lambda occurrence: shift_of(occurrence.deployment, 0),
    "repair": repaired,
    "revert": lambda occurrence: request_revert(run_to_end(filtered(occurrence))),
}


@pytest.fixture
def occurrence() -> Occurrence:
    capture = make_capture(timestamp=NIGHT)
    occurrence = make_occurrence(deployment=capture.deployment)
    make_classification(detection=make_detection(source_image=capture, occurrence=occurrence))
    occurrence.save()
    return occurrence


@pytest.mark.parametrize("kind", MAKERS)
def test_job_waits_for_one_that_may_write_the_same_occurrences(
    kind: str, occurrence: Occurrence
) -> None:
    job = MAKERS[kind](occurrence)
    other = make_occurrence(deployment=make_capture(timestamp=NIGHT).deployment)
    make_detection(source_image=make_capture(deployment=other.deployment), occurrence=other)
    for one in (occurrence, other):
        Job.objects.create(
            name=f"Running on {one}",
            job_type_key="post_processing",
            params={"task": "small_size_filter", "config": {"occurrence_id": one.pk}},
            status=JobState.STARTED,
            admitted_at=timezone.now(),
        )
    blocker = Job.objects.get(name=f"Running on {occurrence}")

    runner.run(job.pk, task_id=job.task_id)
    job.refresh_from_db()
    assert (job.status, job.waits_for) == (JobState.PENDING, blocker)

    Job.objects.filter(pk=blocker.pk).update(status=JobState.SUCCESS)
    assert run_to_end(job).is_final


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("kind", sorted(MAKERS.keys() - {"revert"}))
def test_job_that_is_run_again_is_a_dry_run_if_the_former_one_was(
    kind: str, dry_run: bool, occurrence: Occurrence
) -> None:
    former = MAKERS[kind](occurrence)
    ended = {"status": JobState.SUCCESS, "outcome": Outcome.SUCCEEDED}
    Job.objects.filter(pk=former.pk).update(dry_run=dry_run, **ended)
    former.refresh_from_db()

    again = run_again(former)

    assert (again.dry_run, again.params) == (dry_run, former.params)
    assert again.pk != former.pk
