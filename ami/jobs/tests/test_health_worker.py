"""The health check with a real worker: lost and abandoned work is done in the end."""

import pytest
from celery import current_app

from ami.base.tests.factories import make_capture_set, make_detection
from ami.jobs.models import Job, JobState
from ami.jobs.tasks import jobs_health_check
from ami.jobs.tests.rows import claim, silence
from ami.main.models import Classification
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from config.tests.processes import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("celery_worker")]


def launch_filter() -> Job:
    capture_set = make_capture_set([make_detection(bbox=[0, 0, 10, 10]).source_image])
    config = {"source_image_collection_id": capture_set.pk}
    return launch(SmallSizeFilterTask, [LaunchRow("A run", capture_set.project, config)])[0]


def has_ended(job: Job) -> bool:
    job.refresh_from_db()
    return job.is_final


def assert_ran_once(job: Job) -> None:
    wait_until(lambda: has_ended(job))
    assert (job.status, job.error) == (JobState.SUCCESS, "")
    assert job.logs.filter(message__contains="was sent again").count() == 1
    assert Classification.objects.filter(job=job).count() == 1


def test_run_that_the_broker_did_not_take_goes_out_when_it_is_back(
    broker_down: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = launch_filter()
    job.refresh_from_db()
    assert job.unsent.startswith("The broker did not take")
    monkeypatch.setattr("ami.jobs.models.part.current_app", current_app)
    jobs_health_check.delay()
    jobs_health_check.delay()
    assert_ran_once(job)


def test_run_whose_worker_is_gone_is_begun_by_another(
    broker_down: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = launch_filter()
    assert claim(job.pk, task_id=job.task_id)
    silence(job.parts.get())
    monkeypatch.setattr("ami.jobs.models.part.current_app", current_app)
    jobs_health_check.delay()
    assert_ran_once(job)


def test_run_whose_message_was_revoked_in_celery_is_canceled(broker_down: None) -> None:
    job = launch_filter()
    control = current_app.control
    control.revoke(job.task_id)
    wait_until(lambda: job.task_id in str(control.inspect(timeout=0.5).revoked()))
    current_app.send_task("ami.jobs.tasks.run_job", args=[job.pk], task_id=job.task_id)

    wait_until(lambda: has_ended(job))

    assert (job.status, job.started_at) == (JobState.REVOKED, None)
    wait_until(job.logs.filter(message__contains="revoked in Celery").exists)
