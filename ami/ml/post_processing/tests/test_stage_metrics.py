"""Where the figures of a method are stored, and under which names."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from ami.jobs.models import Job
from ami.jobs.progress import JobProgress
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.main.models import SourceImageCollection
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import CountingTask, ScopeConfig, make_scope, registered

pytestmark = pytest.mark.django_db


class ReportingTask(BasePostProcessingTask):
    """Reports figures with titles and with keys, and counts some as other methods do."""

    key = "reporting"
    name = "Reporting"
    config_schema = ScopeConfig
    counters = ("never_counted",)

    def run(self) -> None:
        self.report_stage_metrics({"detections_checked": 3, "Frames seen": 2})
        self.count(links_found=4)
        self.skip("too odd", rows=1, ids=[7])


def job_of(task_cls: type[BasePostProcessingTask], scope: SourceImageCollection) -> Job:
    """A Job that has a stage before its method begins, as the platform creates it."""
    progress = JobProgress()
    progress.add_stage("Post Processing", key="post_processing")
    config = {"source_image_collection_id": scope.pk}
    params = {"task": task_cls.key, "config": config}
    return make_job(job_type_key=JOB_TYPE, params=params, progress=progress)


def figures(job: Job, key: str) -> dict[str, Any]:
    job.refresh_from_db()
    return {param.name: param.value for param in job.progress.get_stage(key).params}


def test_figure_keeps_its_name_and_has_a_title_on_the_page(admin_client: Client) -> None:
    with registered(ReportingTask):
        job = run_to_end(job_of(ReportingTask, make_scope(1)))
        text = admin_client.get(reverse("admin:jobs_job_change", args=[job.pk])).text
    assert figures(job, "reporting") == {
        "never_counted": 0,
        "detections_checked": 3,
        "Frames seen": 2,
        "links_found": 4,
    }
    for title in ("Never counted", "Detections checked", "Frames seen", "Links found"):
        assert f">{title}</th>" in text
    assert job.progress.get_stage("reporting").skipped == {"too odd": 1}


def test_counters_of_parts_are_in_the_stage_of_the_method() -> None:
    with registered(CountingTask):
        job = run_to_end(job_of(CountingTask, make_scope(2, 1)))
    assert figures(job, "counting") == {"seen": 3}
    assert figures(job, "post_processing") == {}
    assert job.progress.fraction == 1.0


def test_counters_of_a_method_that_is_run_by_hand_are_there_too() -> None:
    scope = make_scope(2)
    job = job_of(SmallSizeFilterTask, scope)
    SmallSizeFilterTask(job=job, source_image_collection_id=scope.pk, size_threshold=0.5).run()
    assert figures(job, "post_processing") == {}
    assert figures(job, "small_size_filter") == {
        "detections_checked": 2,
        "detections_flagged": 2,
        "detections_skipped": 0,
        "occurrences_updated": 1,
        "scores_refreshed": 0,
    }
