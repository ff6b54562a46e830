"""The two steps in the admin, through the test client."""

import re
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse
from pydantic import Field
from pytest_django import DjangoCaptureOnCommitCallbacks

from ami.base.tests.factories import make_capture, make_capture_set, make_detection
from ami.jobs.models import Job, JobState
from ami.jobs.tests.admin import told
from ami.main.models import Occurrence
from ami.ml.post_processing.scopes import ScopedConfig
from ami.ml.post_processing.tests.clicks import KEY, OCCURRENCES, RUN, SETS, confirm, post
from ami.ml.post_processing.tests.methods import CountingTask, make_scope, registered
from ami.users.models import User

pytestmark = pytest.mark.django_db


def counts() -> dict[str, int]:
    """The number of rows of each table except sessions."""
    return {
        model._meta.label: model._default_manager.count()
        for model in apps.get_models()
        if model._meta.label != "sessions.Session"
    }


def test_first_post_shows_the_page_and_writes_nothing(admin_client: Client) -> None:
    capture_sets = [make_scope(2, loose=1), make_scope(1)]
    before = counts()
    response = post(admin_client, [row.pk for row in capture_sets])
    assert response.status_code == 200
    assert counts() == before
    page = re.sub(r"\s+", " ", response.text)
    assert "<title>Run Small size filter" in page
    assert "2 selected" in page
    assert "2 captures, 4 detections" in page
    for row in capture_sets:
        assert f'<input type="hidden" name="_selected_action" value="{row.pk}">' in page
        assert f'<a href="{SETS}{row.pk}/change/">{row.name}</a>' in page
    assert 'name="size_threshold" value="0.0008"' in page
    assert "Flag detections whose box covers less than this share of the frame (0 to 1)." in page
    assert '<fieldset class="module aligned' in page
    assert re.search(r'name="launch_key" value="[0-9a-f-]{36}"', page)


def test_page_shows_the_first_ten_rows_and_how_many_more(admin_client: Client) -> None:
    capture = make_capture()
    ids = [make_capture_set([capture], name=f"Set {number}").pk for number in range(12)]
    page = post(admin_client, ids).text
    assert "Set 9<" in page
    assert "Set 10<" not in page
    assert "and 2 more" in page
    assert page.count('name="_selected_action"') == 12


def test_each_page_has_a_launch_key_of_its_own(admin_client: Client) -> None:
    row = make_scope(1)
    keys = {re.findall(r'name="launch_key" value="(.*?)"', post(admin_client, [row.pk]).text)[0]}
    keys |= {re.findall(r'name="launch_key" value="(.*?)"', post(admin_client, [row.pk]).text)[0]}
    assert len(keys) == 2


def test_confirm_launches_a_job_a_row_and_links_them(
    admin_client: Client,
    admin_user: User,
    published: list[Any],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    capture_sets = [make_scope(1), make_scope(1)]
    with django_capture_on_commit_callbacks(execute=True):
        response = confirm(admin_client, [row.pk for row in capture_sets])
        assert not published
    assert (response.status_code, response.url) == (302, SETS)
    jobs = list(Job.objects.order_by("pk"))
    assert published == [(job.task_id, [job.pk]) for job in jobs]
    assert {(job.user, job.status, job.job_type_key) for job in jobs} == {
        (admin_user, JobState.PENDING, "post_processing")
    }
    by_set = {job.params["config"]["source_image_collection_id"]: job for job in jobs}
    for row in capture_sets:
        job = by_set[row.pk]
        assert job.params["task"] == "small_size_filter"
        assert job.params["config"]["size_threshold"] == 0.003
        assert job.project == row.project
        assert job.name == f"Small size filter on capture set {row.name}"
    (message,) = told(response)
    assert re.sub("<.*?>", "", message) == (
        f"Small size filter: queued 2 Jobs for 2 capture sets: Job {jobs[0].pk}, Job {jobs[1].pk}."
    )
    for job in jobs:
        url = reverse("admin:jobs_job_change", args=[job.pk])
        assert f'<a href="{url}">Job {job.pk}</a>' in message
        assert admin_client.get(url).status_code == 200


def test_occurrence_can_be_selected_too(admin_client: Client) -> None:
    make_scope(2)
    occurrence = Occurrence.objects.get()
    page = post(admin_client, [occurrence.pk], url=OCCURRENCES)
    assert "1 capture, 2 detections" in re.sub(r"\s+", " ", page.text)
    confirm(admin_client, [occurrence.pk], url=OCCURRENCES)
    assert Job.objects.get().params["config"] == {
        "occurrence_id": occurrence.pk,
        "size_threshold": 0.003,
    }


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("7", "Size threshold must be below 1, got 7."),
        ("0", "Size threshold must be above 0, got 0."),
        ("much", "Enter a number."),
        ("", "This field is required."),
        ("nan", "Enter a number."),
    ],
)
def test_fault_is_told_once_at_its_field_and_all_is_kept(
    admin_client: Client, typed: str, sentence: str
) -> None:
    capture_sets = [make_scope(1) for _ in range(3)]
    response = confirm(admin_client, [row.pk for row in capture_sets], size_threshold=typed)
    assert response.status_code == 200
    assert response.text.count(sentence) == 1
    assert response.context["adminform"].form.errors == {"size_threshold": [sentence]}
    assert f'value="{typed}"' in response.text or not typed
    for row in capture_sets:
        assert f'name="_selected_action" value="{row.pk}"' in response.text
    assert f'name="launch_key" value="{KEY}"' in response.text
    assert not Job.objects.exists()
    assert confirm(admin_client, [row.pk for row in capture_sets]).status_code == 302
    assert Job.objects.count() == 3


def test_double_submit_launches_once_and_links_the_first_jobs(admin_client: Client) -> None:
    row = make_scope(1)
    confirm(admin_client, [row.pk])
    job = Job.objects.get()
    again = confirm(admin_client, [row.pk])
    assert again.status_code == 302
    assert f">Job {job.pk}</a>" in told(again)[-1]
    assert "submitted before" in told(again)[-1]
    assert "no new Job was queued" in told(again)[-1]
    assert Job.objects.count() == 1


def test_foreign_launch_key_is_not_taken_over(admin_client: Client) -> None:
    row = make_scope(1)
    assert confirm(admin_client, [row.pk], launch_key="x" * 9_000).status_code == 302
    assert Job.objects.get().launch_key is None


def test_row_that_vanished_meanwhile_stops_the_launch(admin_client: Client) -> None:
    row, gone = make_scope(1), make_scope(1)
    ids = [row.pk, gone.pk]
    gone.delete()
    response = confirm(admin_client, ids, size_threshold="0.5")
    assert response.status_code == 200
    assert "1 of the 2 selected capture sets are no longer in the list" in response.text
    assert 'value="0.5"' in response.text
    assert response.text.count('name="_selected_action"') == 1
    assert not Job.objects.exists()
    confirm(admin_client, [row.pk])
    assert Job.objects.count() == 1


def test_number_of_queries_does_not_grow_with_the_selection(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    capture = make_capture()
    ids = [make_capture_set([capture]).pk for _ in range(100)]
    with django_assert_max_num_queries(17):
        post(admin_client, ids)
    with django_assert_max_num_queries(17):
        confirm(admin_client, ids)
    assert Job.objects.count() == 100


def test_filtered_list_keeps_its_address(admin_client: Client) -> None:
    row = make_scope(1)
    url = f"{SETS}?method=manual"
    assert post(admin_client, [row.pk], url=url).status_code == 200
    assert confirm(admin_client, [row.pk], url=url).url == url


def test_names_are_escaped(admin_client: Client) -> None:
    capture = make_capture()
    row = make_capture_set([capture], name="<script>alert(1)</script>")
    make_detection(source_image=capture)
    assert "<script>alert(1)" not in post(admin_client, [row.pk]).text
    confirm(admin_client, [row.pk])
    assert "<script>alert(1)" not in admin_client.get(SETS).text


def test_popup_offers_no_action(admin_client: Client) -> None:
    make_scope(1)
    assert RUN not in admin_client.get(f"{SETS}?_popup=1").text


class SetsOnlyConfig(ScopedConfig):
    source_image_collection_id: int
    depth: int = Field(3, ge=1, description="How deep to look.")


class SetsOnlyTask(CountingTask):
    key = "sets_only"
    name = "Sets & more"
    config_schema = SetsOnlyConfig


def test_new_method_appears_where_its_scopes_allow(admin_client: Client) -> None:
    row = make_scope(1)
    label = "Run Sets &amp; more post-processing task (async)"
    assert label not in admin_client.get(SETS).text
    with registered(SetsOnlyTask):
        assert f'<option value="run_sets_only">{label}</option>' in admin_client.get(SETS).text
        assert label not in admin_client.get(OCCURRENCES).text
        page = post(admin_client, [row.pk], action="run_sets_only").text
        assert "How deep to look." in page
        assert "size_threshold" not in page
        refused = confirm(admin_client, [row.pk], action="run_sets_only", depth="0")
        assert "Depth must be at least 1, got 0." in refused.text
        confirm(admin_client, [row.pk], action="run_sets_only", depth="5")
    assert Job.objects.get().params == {
        "task": "sets_only",
        "config": {"source_image_collection_id": row.pk, "depth": 5},
    }
    assert label not in admin_client.get(SETS).text
