"""What a Job waits for, on its page and in the commands."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from ami.base.tests.factories import make_user
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.states import PartState
from ami.jobs.summary import summary_of
from ami.jobs.tests.admin import page_of
from ami.jobs.tests.queues import age_what_was_taken, take_message
from ami.jobs.tests.rows import held_part, make_part, queued_job, running_job, silence
from ami.jobs.watch import vitals
from ami.jobs.watch.waiting import what_it_waits_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_broker")]
Served = dict[str, int] | None


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Served]:
    """The last item is the number of workers per queue; None if the broker is down."""
    told: list[Served] = [{"ami": 1, "post_processing": 0}]
    monkeypatch.setattr(vitals, "workers", lambda: told[-1])
    return told


def minutes_ago(row: Job | JobPart) -> Any:
    at = timezone.now() - timedelta(minutes=5)
    type(row).objects.filter(pk=row.pk).update(updated_at=at)
    row.refresh_from_db()
    return row


def told(job: Job) -> str:
    return what_it_waits_for(Job.objects.get(pk=job.pk), summary_of(job))


def test_queued_job_tells_what_keeps_it_from_a_worker(served: list[Served]) -> None:
    job = minutes_ago(queued_job())
    name = f"Job {job.pk} has waited for a worker since "
    for workers, why in [
        ({"ami": 1, "post_processing": 0}, "no worker serves the queue post_processing."),
        ({"ami": 1}, "no worker serves the queue post_processing."),
        (
            {"post_processing": 2},
            "all workers that serve the queue post_processing are busy (2).",
        ),
        (None, "the broker does not answer."),
    ]:
        served.append(workers)
        sentence = told(job)
        assert sentence.startswith(name)
        assert sentence.endswith(f": {why}")


def test_job_that_was_just_queued_waits_for_nothing(served: list[Served]) -> None:
    assert told(queued_job()) == ""


@pytest.mark.parametrize("status", [JobState.PAUSED, JobState.CANCELING, JobState.SUCCESS])
def test_job_that_is_not_to_go_on_waits_for_nothing(status: JobState, served: list[Served]) -> None:
    assert told(minutes_ago(queued_job(status=status))) == ""


def test_job_that_another_one_or_the_broker_holds_back_names_it(served: list[Served]) -> None:
    former = queued_job(name="A")
    sentence = f"Waits for Job {former.pk} (A), which may write the same occurrences."
    waiting = queued_job(waits_for=former, error="No reason to wait.")
    assert told(waiting) == sentence
    Job.objects.filter(pk=waiting.pk).update(unsent="The broker is down.")
    assert told(waiting) == "The broker is down."


def test_parts_that_nobody_runs_are_told(served: list[Served]) -> None:
    job = running_job()
    part = minutes_ago(make_part(job, PartState.QUEUED))
    make_part(job, PartState.DONE)
    assert told(job).startswith(f"{part} has waited for a worker since ")
    make_part(job, PartState.QUEUED)
    assert told(job).startswith(f"Each of the 2 remaining parts of Job {job.pk} has waited")
    make_part(job, PartState.RUNNING)
    assert told(job) == ""


@pytest.mark.parametrize("with_parts", [True, False])
def test_worker_that_no_longer_answers_is_told(with_parts: bool, served: list[Served]) -> None:
    job = running_job()
    part = make_part(job, PartState.RUNNING, is_planned=with_parts)
    part.publish()
    assert take_message()
    assert told(job) == ""
    silence(job, part)
    assert "no longer responds" not in told(job)
    age_what_was_taken()
    assert told(job).startswith(
        f"A worker of Job {job.pk} no longer responds; its last heartbeat was at"
    )


def test_silent_run_without_parts_is_told(served: list[Served]) -> None:
    part = held_part()
    job = part.job
    assert told(job) == ""
    silence(part)
    assert told(job).startswith(f"The worker of Job {job.pk} has sent no heartbeat since ")


def test_page_tells_it(served: list[Served], client: Client) -> None:
    client.force_login(make_user(is_staff=True, is_superuser=True))
    job = minutes_ago(queued_job())
    text = client.get(page_of(job, "live/")).text
    assert f'<li class="warning">Job {job.pk} has waited for a worker since ' in text


def test_part_that_is_claimed_while_the_page_is_made_is_no_error(served: list[Served]) -> None:
    job = running_job()
    part = minutes_ago(make_part(job, PartState.QUEUED))
    summary = summary_of(job)
    assert JobPart.claim(part.pk, task_id=part.task_id)
    assert what_it_waits_for(job, summary).startswith(f"The last part of Job {job.pk} has waited")
