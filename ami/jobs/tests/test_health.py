"""The health check with a real broker; the tests act as the workers."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from celery import Celery, current_app
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import DjangoCaptureOnCommitCallbacks

from ami.base.tests.snapshots import snapshot
from ami.jobs.models import Job, JobPart, JobState, Pulse
from ami.jobs.service import create_jobs
from ami.jobs.states import PartState
from ami.jobs.summary import summary_of
from ami.jobs.tasks import jobs_health_check, tick
from ami.jobs.tests.job_types import make_job
from ami.jobs.tests.queues import take_message, waiting
from ami.jobs.tests.rows import make_part, queued_job, running_job, silence
from ami.jobs.transitions import carrier
from ami.jobs.watch import broker, health
from ami.jobs.watch.stale import check_lost_enqueues

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_broker")]
Messages = list[tuple[str, list[Any]]]
NOTHING = {"checked": 0, "fixed": 0, "unfixable": 0}
CRASHED = {"checked": 0, "fixed": 0, "unfixable": 1}


@pytest.fixture
def unreadable() -> Iterator[None]:
    """Read the broker at a port on which nothing listens."""
    app = Celery("nowhere", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.update(broker_url="redis://127.0.0.1:1/0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ami.jobs.watch.broker.current_app", app)
        yield


def test_job_that_the_broker_did_not_take_goes_out_once(
    broker_down: None,
    monkeypatch: pytest.MonkeyPatch,
    published: Messages,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        (job,) = create_jobs([Job(name="One")])
    assert "did not take" in Job.objects.get(pk=job.pk).unsent
    assert health.lost_enqueues() == {"checked": 1, "fixed": 0, "unfixable": 1}

    monkeypatch.setattr("ami.jobs.models.part.current_app", current_app)
    assert health.lost_enqueues() == {"checked": 1, "fixed": 1, "unfixable": 0}
    assert health.lost_enqueues() == {"checked": 1, "fixed": 0, "unfixable": 0}
    stored = Job.objects.get(pk=job.pk)
    assert (stored.status, stored.task_id, stored.unsent) == (JobState.PENDING, job.task_id, "")
    assert published == [(job.task_id, [job.pk])]


@pytest.mark.parametrize("before", [0, broker.MESSAGES_AT_ONCE - 1, 2 * broker.MESSAGES_AT_ONCE])
def test_job_behind_a_long_queue_is_left_alone(before: int, published: Messages) -> None:
    job = queued_job()
    carrier(job).publish()
    with broker._store() as store:
        (key,) = (key for key in store.lists if store.client.llen(key))
        message: Any = store.client.lindex(key, 0)
        other = message.replace(job.task_id.encode(), b"another")
        for _ in range(before):
            store.client.lpush(key, other)
    published.clear()
    assert health.lost_enqueues() == {"checked": 1, "fixed": 0, "unfixable": 0}
    assert broker.depth() == before + 1
    assert not published


def test_message_that_a_worker_has_taken_is_not_lost(published: Messages) -> None:
    job = queued_job()
    carrier(job).publish()
    message = take_message()
    assert message.headers["id"] == job.task_id
    assert health.lost_enqueues()["fixed"] == 0
    assert len(published) == 1


def test_message_that_moves_between_two_looks_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, published: Messages
) -> None:
    job = queued_job()
    monkeypatch.setattr("ami.jobs.watch.stale.time.sleep", lambda seconds: carrier(job).publish())
    assert health.lost_enqueues()["fixed"] == 0
    assert len(published) == 1


@pytest.mark.parametrize("status", sorted(set(JobState) - {JobState.PENDING}))
def test_only_queued_jobs_are_sent_again(status: JobState, published: Messages) -> None:
    queued_job(status=status)
    sent = health.lost_enqueues()["fixed"]
    assert sent == len(published) == (status in {JobState.RECEIVED, JobState.RETRY})


def test_job_without_a_task_id_gets_one() -> None:
    job = make_job(task_id="")
    before = snapshot(Job, JobPart)
    (told,) = check_lost_enqueues(dry_run=True)
    assert (told["job"], told["action"], told["fixed"]) == (job.pk, "sent", False)
    assert snapshot(Job, JobPart) == before
    assert health.lost_enqueues()["fixed"] == 1
    job.refresh_from_db()
    assert waiting(job) == 1


def test_two_jobs_that_came_to_wait_for_each_other_go_on(published: Messages) -> None:
    """The first Job waited for the other one, which was then queued again behind it."""
    first, other = queued_job(), queued_job()
    Job.objects.filter(pk=first.pk).update(waits_for=other)
    Job.objects.filter(pk=other.pk).update(waits_for=first)
    assert health.lost_enqueues() == {"checked": 1, "fixed": 1, "unfixable": 0}
    assert published == [(first.task_id, [first.pk])]


def test_job_that_waits_for_another_goes_out_once_that_has_ended(published: Messages) -> None:
    blocker = running_job()
    queued_job(waits_for=blocker)
    assert health.lost_enqueues() == NOTHING
    Job.objects.filter(pk=blocker.pk).update(status=JobState.FAILURE)
    assert health.lost_enqueues() == {"checked": 1, "fixed": 1, "unfixable": 0}
    assert len(published) == 1


def test_queued_parts_of_a_running_job_are_sent_again(published: Messages) -> None:
    job = running_job()
    part = make_part(job, PartState.QUEUED)
    make_part(job, PartState.RUNNING)
    make_part(queued_job(status=JobState.PAUSED), PartState.QUEUED)
    assert health.lost_enqueues() == {"checked": 1, "fixed": 1, "unfixable": 0}
    assert published == [(part.task_id, [part.pk])]


def test_parts_that_their_job_is_about_to_send_are_left_to_it(published: Messages) -> None:
    job = running_job()
    carrier(job).publish()
    make_part(job, PartState.QUEUED)
    assert health.lost_enqueues()["fixed"] == 0
    assert len(published) == 1


@pytest.mark.django_db(transaction=True)
def test_two_checks_at_once_send_each_message_once(published: Messages) -> None:
    jobs = [queued_job() for _ in range(10)]
    stale = make_part(running_job(), PartState.RUNNING)
    silence(stale)
    barrier = Barrier(2)

    def check(_: int) -> int:
        try:
            barrier.wait()
            found = jobs_health_check()
            return found["lost_enqueues"]["fixed"] + found["stale_jobs"]["fixed"]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as checks:
        list(checks.map(check, range(2)))
    assert sorted(pk for pk, _ in published) == sorted(
        [*(job.task_id for job in jobs), stale.task_id]
    )


def test_queries_do_not_grow_with_the_queue(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(20):
        carrier(queued_job()).publish()
        make_part(running_job(), PartState.QUEUED).publish()
    with django_assert_num_queries(2):
        assert health.lost_enqueues()["checked"] == 40


def test_running_jobs_get_a_line_on_what_serves_them() -> None:
    job, other = running_job(), queued_job()
    make_part(job, PartState.RUNNING, heartbeat_at=timezone.now())
    carrier(other).publish()
    before = snapshot(Job, JobPart)
    found = health.running_job_snapshots()
    assert found == {"checked": 1, "fixed": 0, "unfixable": 0}
    assert snapshot(Job, JobPart) == before
    assert re.fullmatch(
        "Messages in the queues: 1; workers that answer: 0; parts: 0 queued, 1 running, 0 done, "
        r"0 failed; last heartbeat: \d+ s ago\.",
        job.logs.get().message,
    )


def test_sub_check_that_crashes_leaves_the_others_alone(
    unreadable: None, caplog: pytest.LogCaptureFixture
) -> None:
    queued_job()
    silence(running_job(status=JobState.CANCELING))
    stale = {"checked": 1, "fixed": 1, "unfixable": 0}
    found = jobs_health_check()
    assert found["lost_enqueues"] == CRASHED
    assert (found["stale_jobs"], found["running_job_snapshots"]) == (stale, NOTHING)
    assert "The sub-check lost_enqueues crashed." in caplog.text


def test_broker_that_refuses_a_part_leaves_it_for_the_next_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2):
        make_part(running_job(), PartState.QUEUED)
    tries: list[int] = []

    def refuse(part: JobPart) -> bool:
        tries.append(part.pk)
        return False

    with monkeypatch.context() as patch:
        patch.setattr(JobPart, "publish", refuse)
        assert health.lost_enqueues() == {"checked": 2, "fixed": 0, "unfixable": 2}
    assert len(tries) == 1
    assert health.lost_enqueues() == {"checked": 2, "fixed": 2, "unfixable": 0}


def test_messages_of_other_programs_are_passed_over() -> None:
    job = queued_job()
    carrier(job).publish()
    with broker._store() as store:
        for key in store.lists:
            store.client.rpush(key, '{"headers": {}}', "no JSON", "[]")
        store.client.hset(store.taken, "tag", "[]")
    assert waiting(job) == 1


def test_snapshot_that_fails_for_one_job_is_written_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = [running_job() for _ in range(3)]
    tell = summary_of

    def fail_at_the_first(job: Job) -> Any:
        if job.pk == jobs[0].pk:
            raise RuntimeError("It has no summary.")
        return tell(job)

    monkeypatch.setattr("ami.jobs.watch.health.summary_of", fail_at_the_first)
    assert health.running_job_snapshots() == {"checked": 3, "fixed": 0, "unfixable": 1}
    assert [job.logs.count() for job in jobs] == [0, 1, 1]


def test_message_that_cannot_be_sent_leaves_the_others_to_be_sent(
    monkeypatch: pytest.MonkeyPatch, published: Messages
) -> None:
    first, *others = (queued_job() for _ in range(3))
    send = JobPart.publish

    def fail_at_the_first(part: JobPart) -> bool:
        if part.job_id == first.pk:
            raise RuntimeError("It cannot be sent.")
        return send(part)

    monkeypatch.setattr(JobPart, "publish", fail_at_the_first)
    assert health.lost_enqueues() == {"checked": 3, "fixed": 2, "unfixable": 1}
    assert published == [(job.task_id, [job.pk]) for job in others]


def summaries(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.getMessage().startswith("Job health check: ")
    ]


@pytest.mark.parametrize("look", [jobs_health_check, tick])
def test_each_round_writes_one_line(
    look: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="ami.jobs.watch.health")
    served: list[dict[str, int] | None] = [{"ami": 1, "post_processing": 2}]
    monkeypatch.setattr("ami.jobs.watch.vitals.workers", lambda: served[-1])
    Pulse.record(Pulse.Name.TICK)
    look()
    ((level, line),) = summaries(caplog)
    assert level == "INFO"
    assert "lost_enqueues: 0 checked, 0 repaired, 0 failed; " in line
    assert line.endswith("; workers by queue: 1 of ami, 2 of post_processing.")

    for unserved in ({"ami": 1, "post_processing": 0}, None):
        served.append(unserved)
        caplog.clear()
        look()
        assert [level for level, _ in summaries(caplog)] == ["WARNING"]


def test_round_with_an_error_warns(
    unreadable: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ami.jobs.watch.vitals.workers", lambda: {"ami": 1})
    queued_job()
    tick()
    ((level, line),) = summaries(caplog)
    assert (level, "1 failed" in line) == ("WARNING", True)
    assert Pulse.objects.filter(name=Pulse.Name.TICK).exists()
