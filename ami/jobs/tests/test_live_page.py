"""The page of a Job during its run and after its end."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome, PartState
from ami.jobs.tests.admin import make_parts, page_of
from ami.jobs.tests.job_types import make_job

pytestmark = pytest.mark.django_db
DONE, RUNNING, QUEUED, FAILED = (
    PartState.DONE,
    PartState.RUNNING,
    PartState.QUEUED,
    PartState.FAILED,
)


def make_running(*states: PartState, **fields: Any) -> Job:
    """A running Job whose running parts process 5 rows per second."""
    now = timezone.now()
    job = make_job(status=JobState.STARTED, started_at=now, **fields)
    make_parts(job, *states)
    job.parts.filter(state=RUNNING).update(
        rows_done=50, claimed_at=now - timedelta(seconds=10), heartbeat_at=now, attempts=1
    )
    return job


def live(admin_client: Client, job: Job) -> Any:
    return admin_client.get(page_of(job, "live/"))


def test_progress_tells_rows_rate_time_left_parts_and_heartbeat(admin_client: Client) -> None:
    part = live(admin_client, make_running(DONE, RUNNING, RUNNING, QUEUED))
    progress = part.context["progress"]
    assert (progress.percent, progress.rows, progress.rate) == (50, "200 of 400 rows", 10)
    assert progress.left == "0:00:20"
    assert progress.parts == "1 done, 2 running, 1 queued"
    for text in ("50 %, 200 of 400 rows", "10 rows per second, about 0:00:20 left", "now"):
        assert text in part.text


def test_failed_rows_are_shown(admin_client: Client) -> None:
    job = make_running(RUNNING, QUEUED)
    job.parts.filter(state=RUNNING).update(rows_failed=3)
    assert "3 rows" in live(admin_client, job).text


def test_job_of_one_part_lists_none(admin_client: Client) -> None:
    part = live(admin_client, make_running(RUNNING))
    assert part.context["parts"] is None
    assert part.context["progress"].parts is None


def test_parts_that_are_not_done_are_listed_the_waiting_ones_last(admin_client: Client) -> None:
    job = make_running(DONE, QUEUED, RUNNING, FAILED, QUEUED)
    listed = live(admin_client, job).context["parts"]["listed"]
    assert [part.number for part in listed] == [3, 4, 2, 5]


def test_list_of_parts_is_cut(admin_client: Client) -> None:
    parts = live(admin_client, make_running(*[QUEUED] * 60)).context["parts"]
    assert (len(parts["listed"]), parts["more"]) == (20, 40)


def test_live_part_costs_the_same_for_any_number_of_parts(admin_client: Client) -> None:
    method: dict[str, Any] = {
        "job_type_key": "post_processing",
        "params": {"task": "small_size_filter", "config": {"occurrence_id": 1}},
    }
    few = make_running(RUNNING, QUEUED, **method)
    many = make_running(*[RUNNING, QUEUED] * 100, **method)
    live(admin_client, few)
    counts = []
    for job in (few, many):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert live(admin_client, job).status_code == 200
        counts.append(len(queries))
        for query in queries:
            for column in ("batches", "counts", "skipped"):
                assert f'"jobs_jobpart"."{column}"' not in query["sql"]
    signing_in = 2  # the session and its user
    assert counts[0] == counts[1] <= signing_in + 3


def test_page_reloads_itself_without_scripts_until_the_job_has_ended(admin_client: Client) -> None:
    reload = '<noscript><meta http-equiv="refresh" content="10"></noscript>'
    assert reload in admin_client.get(page_of(make_running(RUNNING))).text
    assert reload not in admin_client.get(page_of(make_job(status=JobState.SUCCESS))).text


@pytest.mark.parametrize(
    ("outcome", "error", "texts"),
    [
        (Outcome.SUCCEEDED, "", ["Succeeded"]),
        (Outcome.FAILED, "Capture set 4 is gone.", ["errornote", "Capture set 4 is gone."]),
        (Outcome.CRASHED, "The run crashed: KeyError.", ["errornote", "log/?level=ERROR"]),
        (
            Outcome.CANCELED,
            "",
            ["The run was canceled.", "The run committed 100 of 200 rows", "can be resumed"],
        ),
    ],
)
def test_outcomes_are_told_apart(
    admin_client: Client, outcome: Outcome, error: str, texts: list[str]
) -> None:
    status = {
        Outcome.SUCCEEDED: JobState.SUCCESS,
        Outcome.CANCELED: JobState.REVOKED,
    }.get(outcome, JobState.FAILURE)
    job = make_job(status=status, outcome=outcome, error=error)
    make_parts(job, DONE, DONE if outcome == Outcome.SUCCEEDED else QUEUED)
    page = admin_client.get(page_of(job)).text
    assert f"job-status-{outcome}" in page
    for text in texts:
        assert text in page
    assert ("log/?level=ERROR" in page) == (outcome == Outcome.CRASHED)
    assert ("The run committed" in page) == (outcome != Outcome.SUCCEEDED)


def test_problems_are_counted_with_their_first_examples(admin_client: Client) -> None:
    job = make_job(status=JobState.SUCCESS, outcome=Outcome.PROBLEMS)
    stage = job.progress.add_stage("Stage")
    stage.skipped = {"no box": 3}
    job.save()
    make_parts(job, DONE, skipped={"no box": [3, [7, 8]]})
    page = admin_client.get(page_of(job)).text
    assert "Succeeded with problems" in page
    assert "3 rows were skipped." in page
    assert "Skipped 3: no box. Ids: 7, 8, …" in page


def test_waiting_job_leads_to_the_one_it_waits_for(admin_client: Client) -> None:
    former = make_job()
    page = admin_client.get(page_of(make_job(waits_for=former))).text
    assert f'Waits for <a href="{page_of(former)}">Job {former.pk}</a>' in page


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (JobState.STARTED, "Dry run: nothing is written."),
        (JobState.SUCCESS, "Dry run: nothing was written."),
        (JobState.REVOKED, "The dry run processed 100 of 200 rows and wrote nothing."),
    ],
)
def test_dry_run_is_badged(admin_client: Client, status: JobState, text: str) -> None:
    job = make_job(status=status, dry_run=True)
    make_parts(job, DONE, QUEUED)
    page = admin_client.get(page_of(job)).text
    assert "job-dry-run" in page
    assert text in page
    assert "Wrote:" not in page


def test_figures_to_be_heeded_are_warned_of(admin_client: Client) -> None:
    job = make_running(RUNNING)
    stage = job.progress.add_stage("Stage")
    for name, value in (("Off the list", 1200), ("In doubt", 0)):
        figure = job.progress.add_or_update_stage_param(stage, name, value)
        figure.warning = "These names are <wrong>."
    job.save()
    page = live(admin_client, job).text
    assert '<li class="warning">Off the list: 1,200. These names are &lt;wrong&gt;. <a' in page
    assert page.count("These names are") == 1
