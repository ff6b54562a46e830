"""How the base class runs a method: batches, counters, log, cancel, claims."""

import logging
from typing import Any, ClassVar

import pytest

from ami.base.tests.factories import make_taxon
from ami.jobs.models import Job, JobState
from ami.jobs.states import ClaimLostError, JobCanceledError, Outcome
from ami.jobs.summary import summary_of
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.jobs.tests.rows import claim
from ami.main.models import Classification, Detection, SourceImageCollection, Taxon
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.tests.methods import CountingTask, ScopeConfig, make_scope, registered

pytestmark = pytest.mark.django_db


class WritingTask(CountingTask):
    """Creates one taxon per batch, then calls the entry of `trouble` for that batch, if any."""

    key = "writing"
    name = "Writing"
    counters = ("seen", "never")
    trouble: ClassVar[dict[int, Any]] = {}

    def process(self, batch: Batch) -> None:
        super().process(batch)
        self.logger.info("Batch %d.", number := self.counts["batches"])
        self.count(batches=1)
        self.report_stage_metrics({"Inside": number})
        make_taxon(name=f"Taxon {number}")
        if act := self.trouble.get(number):
            act(self)


def claimed(task_cls: type[BasePostProcessingTask], capture_set: SourceImageCollection) -> Job:
    job = claim(
        make_job(
            job_type_key=JOB_TYPE,
            params={
                "task": task_cls.key,
                "config": {"source_image_collection_id": capture_set.pk},
            },
        ).pk
    )
    assert job
    return job


def run_job(task_cls: type[BasePostProcessingTask], capture_set: SourceImageCollection) -> Job:
    job = make_job(
        job_type_key=JOB_TYPE,
        params={"task": task_cls.key, "config": {"source_image_collection_id": capture_set.pk}},
    )
    with registered(task_cls):
        return run_to_end(job)


def figures(job: Job) -> Any:
    job.refresh_from_db()
    return job.progress.figures


def in_trouble(act: Any) -> type[WritingTask]:
    return type("TroubledTask", (WritingTask,), {"trouble": {1: act}})


def crash(task: BasePostProcessingTask) -> None:
    raise RuntimeError("Trouble.")


def test_every_detection_is_processed_and_counted() -> None:
    job = run_job(WritingTask, make_scope(2, 1, 1, loose=4))
    assert job.status == JobState.SUCCESS
    assert figures(job) == {"Seen": 8, "Never": 0, "Inside": 3, "Batches": 4}
    assert job.progress.get_stage("writing").progress == 1.0
    assert job.progress.get_stage("writing").status == JobState.SUCCESS
    assert job.logs.order_by("pk")[0].message == "Rows in scope: 8, in batches: 4, in parts: 1."


def test_progress_grows_by_batches() -> None:
    seen: list[tuple[int, int]] = []

    class Watching(CountingTask):
        def process(self, batch: Batch) -> None:
            assert self.job
            seen.append(summary_of(self.job)[:2])

    run_job(Watching, make_scope(2, 2, 4))
    assert seen == [(8, 0), (8, 2), (8, 4)]


def test_run_by_hand_stores_the_figures_of_all_its_batches() -> None:
    job = claimed(CountingTask, capture_set := make_scope(*[1] * 13))
    task = CountingTask(job=job, source_image_collection_id=capture_set.pk)
    for _ in range(2):
        task.run()
        assert figures(job) == {"Seen": 13}
        assert job.progress.fraction == 1.0


def test_empty_scope_is_nothing_to_do_with_counters_at_zero() -> None:
    capture_set = make_scope()
    job = run_job(WritingTask, capture_set)
    assert (job.status, job.outcome) == (JobState.SUCCESS, Outcome.NOTHING)
    assert figures(job) == {"Seen": 0, "Never": 0}
    assert job.progress.fraction == 0


def test_method_works_without_a_job(caplog: pytest.LogCaptureFixture) -> None:
    capture_set = make_scope(2, 2)
    with caplog.at_level(logging.INFO, logger="ami"):
        task = WritingTask(source_image_collection_id=capture_set.pk)
        task.run()
    assert task.counts["seen"] == 4
    assert caplog.messages[-1] == "Writing: {'seen': 4, 'never': 0, 'batches': 2}"


def test_metrics_without_a_job_are_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    task = CountingTask(occurrence_id=1)
    with caplog.at_level(logging.INFO, logger="ami"):
        task.report_stage_metrics({"rows": 3})
        task.update_progress(0.5)
    assert caplog.messages == ["Counting: {'rows': 3}"]


def test_given_logger_is_used(caplog: pytest.LogCaptureFixture) -> None:
    task = CountingTask(logger=logging.getLogger("mine"), occurrence_id=1)
    with caplog.at_level(logging.INFO, logger="mine"):
        task.report_stage_metrics({"rows": 3})
    assert [record.name for record in caplog.records] == ["mine"]


def test_metrics_and_progress_are_stored_with_a_job() -> None:
    job = claimed(CountingTask, capture_set := make_scope(1))
    task = CountingTask(job=job, source_image_collection_id=capture_set.pk)
    task.report_stage_metrics({"detections_checked": 3})
    task.update_progress(0.5)
    assert figures(job) == {"Detections checked": 3}
    assert job.progress.get_stage("counting").name == "Counting"
    assert job.progress.fraction == 0.5


@pytest.mark.parametrize(
    ("reported", "stored"), [(-1.0, 0.0), (7.0, 1.0), (float("nan"), 0.0), (1, 1.0)]
)
def test_progress_is_kept_within_0_and_1(reported: float, stored: float) -> None:
    job = claimed(CountingTask, make_scope(1))
    CountingTask(job=job, occurrence_id=1).update_progress(reported)
    job.refresh_from_db()
    assert job.progress.fraction == stored


def test_run_of_its_own_works_as_it_is() -> None:
    class Free(BasePostProcessingTask):
        key = "free"
        name = "Free"
        config_schema = ScopeConfig

        def run(self) -> None:
            self.logger.info("Scope %d.", self.config.source_image_collection_id)
            self.update_progress(0.5)
            self.report_stage_metrics({"rows": 2})
            self.update_progress(1)

    job = run_job(Free, capture_set := make_scope(1))
    assert job.status == JobState.SUCCESS
    assert figures(job) == {"Rows": 2}
    assert job.progress.fraction == 1.0
    assert [line.message for line in job.logs.all()] == [f"Scope {capture_set.pk}."]


def test_batch_that_raises_is_rolled_back_whole_and_its_log_survives() -> None:
    job = run_job(in_trouble(crash), make_scope(2, 2))
    assert (job.status, job.outcome) == (JobState.SUCCESS, Outcome.PROBLEMS)
    assert figures(job) == {
        "Seen": 2,
        "Never": 0,
        "Inside": 0,
        "Batches": 1,
        "Skipped: failed with RuntimeError": 2,
    }
    assert set(Taxon.objects.values_list("name", flat=True)) == {"Taxon 0"}
    messages = list(job.logs.order_by("pk").values_list("message", flat=True))
    assert messages[1:3] == ["Batch 0.", "Batch 1."]
    ids = "{}, {}".format(*Detection.objects.order_by("pk").values_list("pk", flat=True)[2:])
    assert messages[3].startswith(
        f"Skipped because of an error: {ids}. RuntimeError: Trouble.\nTraceback"
    )
    assert messages[4] == f"Skipped 2: failed with RuntimeError. Ids: {ids}."


def test_method_that_fails_on_every_row_has_crashed() -> None:
    class Broken(CountingTask):
        def process(self, batch: Batch) -> None:
            raise RuntimeError("Trouble.")

    job = run_job(Broken, make_scope(2, 2, 2))
    assert (job.status, job.outcome) == (JobState.FAILURE, Outcome.CRASHED)
    assert job.error == "Every row failed; the log says why."


@pytest.mark.django_db(transaction=True)
def test_batch_that_cannot_be_committed_counts_nothing() -> None:
    """A foreign key is checked at the commit, after the counters were set."""

    def dangle(task: BasePostProcessingTask) -> None:
        Classification.objects.create(detection=Detection.objects.all()[0], taxon_id=987654)

    job = run_job(in_trouble(dangle), make_scope(2, 2))
    assert job.outcome == Outcome.PROBLEMS
    assert figures(job) == {
        "Seen": 2,
        "Never": 0,
        "Inside": 0,
        "Batches": 1,
        "Skipped: failed with IntegrityError": 2,
    }
    assert Taxon.objects.count() == 1


def test_cancel_acts_at_the_next_batch() -> None:
    def cancel(task: BasePostProcessingTask) -> None:
        assert task.job
        assert Job.objects.get(pk=task.job.pk).cancel()

    job = run_job(in_trouble(cancel), make_scope(2, 2, 2))
    assert job.status == JobState.REVOKED
    assert figures(job)["Seen"] == 4
    assert Taxon.objects.count() == 2
    assert job.logs.order_by("pk").last().message == (  # type: ignore[union-attr]
        "Canceled; committed changes stay."
    )


def test_cancel_before_the_first_batch_writes_nothing() -> None:
    job = claimed(WritingTask, capture_set := make_scope(2))
    Job.objects.get(pk=job.pk).cancel()
    with pytest.raises(JobCanceledError):
        WritingTask(job=job, source_image_collection_id=capture_set.pk).run()
    assert not Taxon.objects.exists()


def test_worker_that_lost_its_claim_commits_no_batch() -> None:
    capture_set = make_scope(2, 2, 2)
    job = claimed(WritingTask, capture_set)
    zombie = WritingTask(job=job, source_image_collection_id=capture_set.pk)
    assert claim(job.pk, task_id=job.task_id)
    with pytest.raises(ClaimLostError):
        zombie.run()
    assert not Taxon.objects.exists()
    assert figures(job) == {}


def test_claim_lost_within_a_batch_rolls_it_back() -> None:
    def lose(task: BasePostProcessingTask) -> None:
        assert task.job
        task.job.parts.update(claim_token=None)

    capture_set = make_scope(2, 2)
    job = claimed(WritingTask, capture_set)
    task = in_trouble(lose)(job=job, source_image_collection_id=capture_set.pk)
    with pytest.raises(ClaimLostError):
        task.run()
    assert Taxon.objects.count() == 1
    assert task.counts == {"seen": 2, "never": 0, "batches": 1}


class SkippingTask(CountingTask):
    key = "skipping"
    name = "Skipping"

    def process(self, batch: Batch) -> None:
        ids = sorted(batch.detections.values_list("pk", flat=True))
        self.skip("too odd", rows=len(ids), ids=ids)


def test_skipped_rows_are_counted_by_reason_with_the_first_20_ids() -> None:
    job = run_job(SkippingTask, make_scope(*[1] * 25))
    assert figures(job) == {"Skipped: too odd": 25}
    ids = Detection.objects.order_by("pk").values_list("pk", flat=True)[:20]
    (line,) = job.logs.filter(level="WARNING")
    assert line.message == f"Skipped 25: too odd. Ids: {', '.join(map(str, ids))}, …"


def test_few_skipped_rows_are_all_named() -> None:
    job = run_job(SkippingTask, make_scope(1))
    (line,) = job.logs.filter(level="WARNING")
    assert line.message == f"Skipped 1: too odd. Ids: {Detection.objects.get().pk}."


def test_skipped_rows_of_a_canceled_run_are_named() -> None:
    class Canceling(SkippingTask):
        def process(self, batch: Batch) -> None:
            super().process(batch)
            assert self.job
            Job.objects.get(pk=self.job.pk).cancel()

    job = run_job(Canceling, make_scope(2, 2))
    assert job.status == JobState.REVOKED
    assert job.logs.filter(message__startswith="Skipped 2: too odd.").exists()


def test_skipped_rows_of_a_batch_that_was_rolled_back_are_not_named() -> None:
    class Crashing(SkippingTask):
        def process(self, batch: Batch) -> None:
            super().process(batch)
            if self.skipped["too odd"].rows > 2:
                raise RuntimeError("Trouble.")

    job = run_job(Crashing, make_scope(2, 2))
    first = list(Detection.objects.order_by("pk").values_list("pk", flat=True)[:2])
    line = job.logs.get(level="WARNING", message__contains="too odd")
    assert line.message == f"Skipped 2: too odd. Ids: {first[0]}, {first[1]}."
