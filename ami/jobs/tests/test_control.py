"""The buttons of the Job page, and the actions of the list."""

from collections.abc import Sequence

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from ami.base.tests.factories import make_project
from ami.jobs.admin.control import VERBS
from ami.jobs.models import JobState
from ami.jobs.states import PartState
from ami.jobs.tests.admin import LIST, make_parts, page_of, sign_in, told
from ami.jobs.tests.job_types import make_job

pytestmark = pytest.mark.django_db
DONE, QUEUED = PartState.DONE, PartState.QUEUED


def buttons(page: str) -> list[str]:
    return [verb.name for verb in VERBS if f'name="_{verb.name}"' in page]


@pytest.mark.parametrize(
    ("status", "parts", "offered"),
    [
        (JobState.PENDING, [], ["cancel"]),
        (JobState.STARTED, [], ["cancel"]),
        (JobState.STARTED, [DONE, QUEUED], ["pause", "cancel"]),
        (JobState.PAUSED, [DONE, QUEUED], ["resume", "cancel"]),
        (JobState.CANCELING, [DONE, QUEUED], []),
        (JobState.REVOKED, [DONE, QUEUED], ["resume"]),
        (JobState.FAILURE, [DONE, PartState.FAILED], ["resume"]),
        (JobState.FAILURE, [], ["resume"]),
        (JobState.SUCCESS, [DONE, DONE], []),
        (JobState.UNKNOWN, [], []),
    ],
)
def test_page_offers_what_the_state_allows(
    admin_client: Client, status: JobState, parts: Sequence[PartState], offered: list[str]
) -> None:
    job = make_job(status=status)
    make_parts(job, *parts)
    assert buttons(admin_client.get(page_of(job)).text) == offered


@pytest.mark.parametrize(
    ("status", "button", "after", "line"),
    [
        (JobState.STARTED, "_pause", JobState.PAUSED, "Paused by admin@example.com."),
        (JobState.PAUSED, "_resume", JobState.STARTED, "Resumed by admin@example.com."),
        (JobState.REVOKED, "_resume", JobState.PENDING, "Resumed by admin@example.com."),
        (JobState.PENDING, "_cancel", JobState.REVOKED, "Canceled by admin@example.com."),
    ],
)
def test_button_is_obeyed_and_recorded_with_its_user(
    admin_client: Client, status: JobState, button: str, after: JobState, line: str
) -> None:
    job = make_job(status=status)
    make_parts(job, DONE, QUEUED)
    response = admin_client.post(page_of(job), {button: ""})
    assert response["Location"] == page_of(job)
    assert told(response) == [f"Job {job.pk} was {line.partition(' by ')[0].lower()}."]
    job.refresh_from_db()
    assert job.status == after
    assert line in job.logs.values_list("message", flat=True)
    entry = LogEntry.objects.get(object_id=str(job.pk))
    assert entry.user.email == "admin@example.com"
    assert entry.get_change_message() == f"{line.partition(' by ')[0]}."
    assert entry.get_change_message() in admin_client.get(page_of(job, "history/")).text


def test_job_that_still_runs_is_being_canceled(admin_client: Client) -> None:
    job = make_job(status=JobState.STARTED)
    make_parts(job, PartState.RUNNING)
    assert told(admin_client.post(page_of(job), {"_cancel": ""})) == [
        f"Job {job.pk} is being canceled."
    ]


@pytest.mark.parametrize(
    ("status", "button", "state", "only"),
    [
        (JobState.SUCCESS, "_cancel", "succeeded", "only a Job that has not ended"),
        (JobState.PENDING, "_pause", "queued", "only a Job that runs in parts"),
        (JobState.SUCCESS, "_resume", "succeeded", "only a paused, canceled or failed Job"),
    ],
)
def test_button_of_a_page_that_is_old_changes_nothing(
    admin_client: Client, status: JobState, button: str, state: str, only: str
) -> None:
    job = make_job(status=status)
    (text,) = told(admin_client.post(page_of(job), {button: ""}, follow=True))
    assert text.startswith(f"Job {job.pk} ({state}) was left alone: {only}")
    job.refresh_from_db()
    assert job.status == status
    assert not LogEntry.objects.exists()


def test_who_may_only_view_has_no_buttons(client: Client) -> None:
    job = make_job(status=JobState.STARTED, project=make_project())
    sign_in(client, project=job.project)
    assert not buttons(client.get(page_of(job)).text)
    assert client.post(page_of(job), {"_cancel": ""}).status_code == 403
    job.refresh_from_db()
    assert job.status == JobState.STARTED


@pytest.mark.parametrize(
    ("action", "done", "only"),
    [
        ("pause_jobs", "1 paused.", "only a Job that runs in parts can be paused."),
        ("resume_jobs", "1 resumed.", "only a paused,"),
        ("cancel_jobs", "2 canceled.", "only a Job that has not ended and"),
    ],
)
def test_action_tells_what_was_done_and_what_was_left_alone(
    admin_client: Client, action: str, done: str, only: str
) -> None:
    running, paused = make_job(status=JobState.STARTED), make_job(status=JobState.PAUSED)
    ended = make_job(status=JobState.SUCCESS)
    for job in (running, paused):
        make_parts(job, DONE, QUEUED)
    ids = [job.pk for job in (running, paused, ended)]
    response = admin_client.post(LIST, {"action": action, "_selected_action": ids, "index": 0})
    (text,) = told(response)
    assert text.startswith(done)
    assert only in text
    for job in (running, paused, ended):
        acted = LogEntry.objects.filter(object_id=str(job.pk)).exists()
        assert acted != (f"Job {job.pk} (" in text)
    if action == "cancel_jobs":
        assert f"1 left alone: Job {ended.pk} (succeeded); " in text


def test_action_names_the_first_ten_that_it_left_alone(admin_client: Client) -> None:
    ids = [make_job(status=JobState.SUCCESS).pk for _ in range(12)]
    response = admin_client.post(
        LIST, {"action": "pause_jobs", "_selected_action": ids, "index": 0}
    )
    (text,) = told(response)
    assert text.startswith("0 paused. 12 left alone: ")
    assert text.count("(succeeded)") == 10
    assert f"Job {ids[9]} (succeeded), …; only" in text
