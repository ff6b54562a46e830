from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from ami.base.tests.factories import make_project, make_user
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.admin import LIST, page_of, sign_in
from ami.jobs.tests.job_types import make_job

pytestmark = pytest.mark.django_db


def make_run(**fields: Any) -> Job:
    start = timezone.now() - timedelta(minutes=5)
    job = make_job(
        name="Small size filter on capture set Night",
        status=JobState.SUCCESS,
        project=make_project(name="Vermont"),
        user=make_user(name="Rosa Beauchamp"),
        params={"task": "small_size_filter", "config": {"size_threshold": 0.003}},
        started_at=start,
        finished_at=start + timedelta(seconds=65),
        **fields,
    )
    stage = job.progress.add_stage("Small size filter")
    stage.progress = 0.5
    job.progress.add_or_update_stage_param(stage, "Detections checked", 28_000)
    job.save()
    job.logger.warning("Skipped 2: <no box>.")
    return job


def test_page_tells_all_of_a_job(admin_client: Client) -> None:
    page = admin_client.get(page_of(make_run())).text
    for text in (
        "Small size filter on capture set Night",
        "Succeeded",
        'value="50"',
        "Detections checked",
        "28,000",
        "size_threshold",
        "0.003",
        "Vermont",
        "Rosa Beauchamp",
        "0:01:05",
        "Skipped 2: &lt;no box&gt;.",
        "data-final",
    ):
        assert text in page


def test_failed_job_shows_its_sentence(admin_client: Client) -> None:
    job = make_job(status=JobState.FAILURE, error="Capture set 4 <no longer> exists.")
    page = admin_client.get(page_of(job)).text
    assert '<p class="errornote">Capture set 4 &lt;no longer&gt; exists.</p>' in page


def test_queued_job_shows_why_it_waits(admin_client: Client) -> None:
    page = admin_client.get(page_of(make_job(unsent="The broker is down."))).text
    assert "The broker is down." in page
    assert "errornote" not in page
    assert "data-final" not in page


@pytest.mark.parametrize("status", sorted(JobState))
def test_page_opens_in_each_state(admin_client: Client, status: JobState) -> None:
    assert_opens(admin_client, make_job(status=status))


@pytest.mark.parametrize("status", [JobState.PENDING, JobState.SUCCESS])
@pytest.mark.parametrize(
    "params", [{}, [], {"config": None}, {"task": "x", "config": {"items": 1}}, {"items": 1}]
)
def test_page_opens_with_any_parameters(
    admin_client: Client, status: JobState, params: Any
) -> None:
    assert_opens(admin_client, make_job(status=status, params=params))


def assert_opens(admin_client: Client, job: Job) -> None:
    assert admin_client.get(page_of(job)).status_code == 200
    assert admin_client.get(f"{LIST}{job.pk}/live/").status_code == 200


def test_live_part_is_the_page_without_its_frame(admin_client: Client) -> None:
    part = admin_client.get(f"{LIST}{make_run().pk}/live/").text
    assert "Detections checked" in part
    assert "<html" not in part


@pytest.mark.parametrize("pk", [987654, 2**70, "abc", "1e3"])
@pytest.mark.parametrize("part", ["change", "live", "log", "revert", "again"])
def test_unknown_job_is_not_found(admin_client: Client, pk: Any, part: str) -> None:
    assert admin_client.get(f"{LIST}{pk}/{part}/").status_code == 404


def test_job_pages_need_permission(client: Client) -> None:
    job = make_run()
    sign_in(client, "view_sourceimagecollection")
    assert client.get(LIST).status_code == 403
    for url in (page_of(job), f"{LIST}{job.pk}/live/", f"{LIST}{job.pk}/log/"):
        assert client.get(url).status_code == 404


def test_viewer_sees_jobs_and_changes_none(client: Client) -> None:
    job = make_job(project=make_project())
    sign_in(client, project=job.project)
    assert client.get(page_of(job)).status_code == 200
    page = client.get(LIST)
    assert page.status_code == 200
    assert "cancel_jobs" not in page.text
    client.post(LIST, {"action": "cancel_jobs", "_selected_action": [job.pk], "index": 0})
    job.refresh_from_db()
    assert job.status == JobState.PENDING


def test_job_is_neither_added_nor_edited(admin_client: Client) -> None:
    job = make_job(name="Former")
    assert admin_client.get(f"{LIST}add/").status_code == 403
    admin_client.post(page_of(job), {"name": "Edited"})
    job.refresh_from_db()
    assert job.name == "Former"


def test_list_takes_the_same_queries_for_any_number_of_jobs(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        make_run()
    with django_assert_max_num_queries(10):
        assert admin_client.get(LIST).text.count("Rosa Beauchamp") >= 30


def test_list_tells_outcomes_dry_runs_and_who_waits(admin_client: Client) -> None:
    first = make_job(name="First", status=JobState.SUCCESS, outcome=Outcome.PROBLEMS)
    make_job(name="Second", waits_for=first)
    make_job(name="Third", dry_run=True)
    page = admin_client.get(LIST).text
    assert "Succeeded with problems" in page
    assert f'for <a href="{page_of(first)}">Job {first.pk}</a>' in page
    assert page.count("job-dry-run") == 1
    for query, name in [("outcome__exact=problems", "First"), ("dry_run__exact=1", "Third")]:
        found = admin_client.get(f"{LIST}?{query}").context["cl"].result_list
        assert [job.name for job in found] == [name]
