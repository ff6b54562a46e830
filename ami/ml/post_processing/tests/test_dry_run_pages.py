"""The pages of a dry run: offered, tried, applied."""

from typing import Any, ClassVar

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pydantic import BaseModel

from ami.base.tests.factories import make_classification, make_detection
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.tests.admin import page_of, sign_in, told
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.main.models import Classification, Occurrence, SourceImageCollection
from ami.ml.post_processing.admin import make_post_processing_action
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.clicks import confirm, post
from ami.ml.post_processing.tests.methods import ScopeConfig, registered
from ami.users.models import User

pytestmark = pytest.mark.django_db
APPLY = "Apply this dry run"


class OwnRunTask(BasePostProcessingTask):
    """A method with its own loop."""

    key = "own_run"
    name = "Own run"
    config_schema: ClassVar[type[BaseModel]] = ScopeConfig

    def run(self) -> None:
        self.logger.info("Ran.")


@pytest.fixture
def dry(admin_client: Client, capture_set: SourceImageCollection) -> Job:
    """A dry run that was launched from the list and has succeeded."""
    confirm(admin_client, [capture_set.pk], size_threshold="0.5", _dry_run="on")
    return run_to_end(Job.objects.get())


def apply(client: Client, job: Job, **fields: Any) -> Any:
    return client.post(page_of(job, "again/"), fields)


def test_ticked_form_launches_a_dry_run(
    admin_client: Client, capture_set: SourceImageCollection
) -> None:
    assert 'name="_dry_run"' in post(admin_client, [capture_set.pk]).text
    (text,) = told(confirm(admin_client, [capture_set.pk], _dry_run="on"))
    job = Job.objects.get()
    assert job.dry_run
    assert "queued 1 Job for 1 capture set as a dry run, which writes nothing: " in text


def test_form_that_is_not_ticked_launches_a_run(
    admin_client: Client, capture_set: SourceImageCollection
) -> None:
    confirm(admin_client, [capture_set.pk])
    assert not Job.objects.get().dry_run


def test_refused_form_stays_ticked(
    admin_client: Client, capture_set: SourceImageCollection
) -> None:
    page = confirm(admin_client, [capture_set.pk], size_threshold="7", _dry_run="on").text
    assert 'id="id_dry_run" checked' in page
    assert 'id="id_dry_run" checked' not in post(admin_client, [capture_set.pk]).text


def test_method_with_a_run_of_its_own_offers_no_dry_run(
    admin_client: Client, capture_set: SourceImageCollection
) -> None:
    with registered(OwnRunTask):
        assert "_dry_run" not in post(admin_client, [capture_set.pk], action="run_own_run").text
        page = confirm(admin_client, [capture_set.pk], action="run_own_run", _dry_run="on").text
    assert "Own run does not support dry runs; nothing was queued." in page
    assert not Job.objects.exists()


def test_action_that_builds_its_own_jobs_offers_no_dry_run() -> None:
    form: Any = None
    action = make_post_processing_action(SmallSizeFilterTask, form, build_jobs=lambda **kwargs: [])
    assert not action.offers_dry_run


def test_dry_run_is_applied_with_one_click(admin_client: Client, dry: Job) -> None:
    assert not Classification.objects.filter(job=dry).exists()
    page = admin_client.get(page_of(dry)).text
    assert APPLY in page
    response = apply(admin_client, dry)
    job = Job.objects.get(applies=dry)
    assert response["Location"] == page_of(job)
    assert (job.dry_run, job.params, job.user) == (False, dry.params, dry.user)
    assert (
        LogEntry.objects.get(note__kind="apply").get_change_message() == f"Applied by Job {job.pk}."
    )

    run_to_end(job)
    assert job.changes.count() == dry.changes.count()
    applied = admin_client.get(page_of(job)).text
    assert f'<a href="{page_of(dry)}">Job {dry.pk}</a>' in applied
    page = admin_client.get(page_of(dry)).text
    assert APPLY not in page
    assert f'<a href="{page_of(job)}">Job {job.pk}</a>, succeeded' in page


def test_double_click_launches_once(admin_client: Client, dry: Job) -> None:
    first, second = apply(admin_client, dry), apply(admin_client, dry)
    job = Job.objects.get(applies=dry)
    assert first["Location"] == second["Location"] == page_of(job)
    assert told(second)[-1] == f"Job {job.pk} already applies Job {dry.pk}; no new Job was started."


def test_changed_scope_is_told_and_asked_again(
    admin_client: Client, dry: Job, capture_set: SourceImageCollection
) -> None:
    occurrence = Occurrence.objects.earliest("pk")
    capture = capture_set.images.get()
    make_classification(detection=make_detection(source_image=capture, occurrence=occurrence))
    page = apply(admin_client, dry).text
    assert "The scope held 3 detections; it now holds 4." in page
    assert "1 detection added or changed since." in page
    assert not Job.objects.filter(applies=dry).exists()
    apply(admin_client, dry, _confirmed="1")
    assert Job.objects.filter(applies=dry, dry_run=False).exists()


def test_scope_that_is_gone_is_told(
    admin_client: Client, dry: Job, capture_set: SourceImageCollection
) -> None:
    capture_set.delete()
    response = apply(admin_client, dry)
    assert response["Location"] == page_of(dry)
    assert "no longer exists" in told(response)[-1]


def test_reverted_run_is_applied_again(
    admin_client: Client, admin_user: User, capture_set: SourceImageCollection
) -> None:
    confirm(admin_client, [capture_set.pk], size_threshold="0.5")
    job = run_to_end(Job.objects.get())
    assert "Apply again" not in admin_client.get(page_of(job)).text
    run_to_end(request_revert(job, user=admin_user))
    assert "Apply again" in admin_client.get(page_of(job)).text
    apply(admin_client, job)
    again = run_to_end(Job.objects.get(applies=job))
    assert again.status == JobState.SUCCESS
    assert again.changes.count() == job.changes.count()


def test_reverted_revert_is_not_applied_again(
    admin_client: Client, admin_user: User, capture_set: SourceImageCollection
) -> None:
    confirm(admin_client, [capture_set.pk], size_threshold="0.5")
    job = run_to_end(Job.objects.get())
    revert = run_to_end(request_revert(job, user=admin_user))
    run_to_end(request_revert(revert, user=admin_user))
    assert "Apply again" not in admin_client.get(page_of(revert)).text
    assert "which cannot be applied" in told(apply(admin_client, revert))[-1]


def test_job_that_cannot_be_applied_says_why(admin_client: Client) -> None:
    job = make_job(status=JobState.SUCCESS, job_type_key="post_processing")
    response = apply(admin_client, job)
    assert response["Location"] == page_of(job)
    assert "there is nothing to apply" in told(response)[-1]
    assert admin_client.get(page_of(job, "again/"))["Location"] == page_of(job)


def test_applying_needs_permission(client: Client, dry: Job) -> None:
    sign_in(client, "change_job", project=dry.project)
    assert APPLY not in client.get(page_of(dry)).text
    assert apply(client, dry).status_code == 403
    assert not Job.objects.filter(applies=dry).exists()
