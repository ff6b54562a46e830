"""The list of Jobs: its columns and filters."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ami.base.tests.factories import make_project, make_user
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.admin import LIST, page_of, sign_in
from ami.jobs.tests.job_types import make_job
from ami.jobs.tests.reverting import make_night, revert, run

pytestmark = pytest.mark.django_db


def listed(admin_client: Client, **filters: str) -> list[int]:
    return [job.pk for job in admin_client.get(LIST, filters).context["cl"].result_list]


def make_warned(value: int) -> Job:
    job = make_job(status=JobState.SUCCESS, outcome=Outcome.SUCCEEDED)
    stage = job.progress.add_stage("Stage")
    job.progress.add_or_update_stage_param(stage, "Off the list", value).warning = "Look."
    job.save()
    return job


def test_row_tells_method_scope_counters_and_date(admin_client: Client) -> None:
    capture_set, _ = make_night()
    job = run(capture_set)
    page = admin_client.get(LIST).text
    for text in (
        "<bdi>Small size filter</bdi>",
        f'/admin/main/sourceimagecollection/{capture_set.pk}/change/">Capture set',
        "Detections checked: 2</span>",
        "Succeeded",
        f'<a href="{page_of(job)}',
    ):
        assert text in page


def test_running_job_has_a_bar(admin_client: Client) -> None:
    job = make_job(status=JobState.STARTED, started_at=timezone.now() - timedelta(seconds=5))
    job.progress.add_stage("Stage").progress = 0.42
    job.save()
    bar = f'<progress max="100" value="42" aria-label="Progress of Job {job.pk}"></progress> 42%'
    assert bar in admin_client.get(LIST).text


def test_reverted_job_says_so_in_the_list_and_on_its_page(admin_client: Client) -> None:
    job = run(make_night()[0])
    undoing = revert(job)
    told = f'<span class="job-reverted">Reverted by <a href="{page_of(undoing)}">'
    assert admin_client.get(LIST).text.count(told) == 1
    assert told in admin_client.get(page_of(job)).text
    again = revert(undoing)
    assert told not in admin_client.get(LIST).text
    assert told not in admin_client.get(page_of(job)).text
    assert listed(admin_client, notice="reverted") == [undoing.pk]
    assert listed(admin_client, method="revert") == [again.pk, undoing.pk]


def test_list_is_filtered_by_method_scope_and_warnings(admin_client: Client) -> None:
    capture_set, _ = make_night()
    job, warned, other = run(capture_set), make_warned(3), make_warned(0)
    assert listed(admin_client, method="small_size_filter") == [job.pk]
    assert listed(admin_client, method="tracking") == []
    assert listed(admin_client, scope="source_image_collection_id") == [job.pk]
    assert listed(admin_client, scope="occurrence_id") == []
    assert listed(admin_client, notice="warnings") == [warned.pk]
    assert listed(admin_client) == [other.pk, warned.pk, job.pk]


def test_list_is_filtered_by_project_person_and_date(admin_client: Client) -> None:
    here, there = make_project(), make_project()
    rosa, maria = make_user(), make_user()
    first = make_job(project=here, user=rosa)
    second = make_job(project=there, user=maria)
    Job.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(days=30))
    assert listed(admin_client, project=str(here.pk)) == [first.pk]
    assert listed(admin_client, user=str(maria.pk)) == [second.pk]
    assert listed(admin_client, created_at__gte=str(timezone.now() - timedelta(days=1))) == [
        second.pk
    ]


def test_filters_name_only_projects_and_people_of_visible_jobs(client: Client) -> None:
    own, other = make_project(name="Own"), make_project(name="Own too")
    foreign = make_project(name="Foreign")
    for project in (own, other, foreign):
        make_job(project=project, user=make_user(name=f"Person of {project.name}"))
    sign_in(client, project=own)
    page = client.get(LIST).text
    assert "Person of Own" in page
    assert "Foreign" not in page


def test_queries_do_not_grow_with_the_rows(admin_client: Client) -> None:
    capture_set, _ = make_night()
    revert(run(capture_set))
    counts = []
    for _ in range(2):
        admin_client.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(LIST)
        counts.append(len(queries))
        for _ in range(3):
            revert(run(capture_set))
    assert counts[0] == counts[1] <= 12


@pytest.mark.parametrize("params", [[], {"task": 7}, {"task": "x", "config": {"event_ids": "a"}}])
def test_list_shows_malformed_parameters(admin_client: Client, params: Any) -> None:
    make_job(job_type_key="post_processing", params=params)
    assert admin_client.get(LIST).status_code == 200


def test_empty_list_says_what_to_do_next(admin_client: Client) -> None:
    assert (
        "There are no jobs yet. Select rows in the list of <a href" in admin_client.get(LIST).text
    )
    assert "No jobs match." in admin_client.get(LIST, {"q": "x"}).text
    assert "There are no changes yet. " in admin_client.get("/admin/jobs/jobchange/").text
