"""Counters during planning, and warnings of figures."""

from typing import Any

import pytest

from ami.jobs.engine.work import Planned
from ami.jobs.models import Job
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.tests.methods import CountingTask, make_scope, registered

pytestmark = pytest.mark.django_db


class PlanningTask(CountingTask):
    """Counts while it plans and works, in batches of one row and parts of two batches."""

    key = "planning"
    name = "Planning"
    counters = ("planned", "never", "seen")
    warnings = {"planned": "Mind the plan.", "never": "Mind it."}
    batch_size = 1
    part_batches = 2

    def plan(self) -> list[Planned]:
        self.count(planned=7)
        self.skip("an odd plan", rows=2, ids=[1, 2])
        return super().plan()


def run(*, sizes: tuple[int, ...], by_hand: bool) -> Job:
    config: dict[str, Any] = {"source_image_collection_id": make_scope(*sizes).pk}
    job = make_job(job_type_key=JOB_TYPE, params={"task": PlanningTask.key, "config": config})
    with registered(PlanningTask):
        if by_hand:
            PlanningTask(job=job, **config).run()
        else:
            run_to_end(job)
    job.refresh_from_db()
    return job


@pytest.mark.parametrize(("sizes", "by_hand"), [((1,) * 6, False), ((1,) * 6, True), ((), True)])
def test_what_is_counted_in_planning_is_counted_once(sizes: tuple[int, ...], by_hand: bool) -> None:
    job = run(sizes=sizes, by_hand=by_hand)
    assert job.parts.count() == (3 if sizes and not by_hand else 1)
    assert job.progress.figures == {
        "Planned": 7,
        "Never": 0,
        "Seen": len(sizes),
        "Skipped: an odd plan": 2,
    }


def test_end_of_a_run_warns_of_figures() -> None:
    job = run(sizes=(1,), by_hand=False)
    warned = job.logs.filter(level="WARNING").order_by("pk").values_list("message", flat=True)
    assert list(warned) == ["Planned: 7. Mind the plan.", "Skipped 2: an odd plan. Ids: 1, 2."]
    assert job.progress.warnings == ["Planned: 7. Mind the plan."]
