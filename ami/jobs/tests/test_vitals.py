"""The report of `/healthz` on database, broker, workers and beat."""

import re
import time
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from celery.worker.heartbeat import Heart
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from pytest_django import DjangoAssertNumQueries
from redis import Redis

from ami.integrity.models import IntegrityRun
from ami.integrity.schedule import SCHEDULE_NAME, schedule_daily
from ami.jobs.models import Pulse
from ami.jobs.tasks import tick
from ami.jobs.watch import health, vitals
from ami.main.tests.test_determination_locks import run_in_thread

pytestmark = pytest.mark.django_db

PREFIX = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]


class Eventer:
    hostname = "here@localhost"


@pytest.fixture(autouse=True)
def redis() -> Any:
    """The keys in which workers report, without entries of other tests."""
    client = Redis.from_url(settings.REDIS_URL)
    keys = [f"{PREFIX}workers:{queue}" for queue in settings.CELERY_TASK_QUEUES]
    client.delete(*keys)
    yield client
    client.delete(*keys)
    client.close()


@pytest.fixture
def schedule() -> PeriodicTask:
    """The tick, which runs once per minute."""
    interval, _ = IntervalSchedule.objects.get_or_create(every=1, period="minutes")
    PeriodicTask.objects.filter(task=vitals.TICK_TASK).delete()
    return PeriodicTask.objects.create(name="jobs.tick", task=vitals.TICK_TASK, interval=interval)


@pytest.fixture
def healthy(schedule: PeriodicTask) -> None:
    heart: Any = Heart.__new__(Heart)
    heart.eventer = Eventer()
    vitals.note_worker(sender=heart)
    tick()


def ask(client: Client) -> tuple[int, dict[str, Any]]:
    response = client.get("/healthz")
    return response.status_code, response.json()


def aged(name: Pulse.Name, seconds: float) -> None:
    at = timezone.now() - timedelta(seconds=seconds)
    Pulse.objects.update_or_create(name=name, defaults={"at": at})


@pytest.mark.usefixtures("healthy")
class TestHealthy:
    def test_all_is_well(self, client: Client) -> None:
        code, told = ask(client)
        assert code == 200
        assert told["ok"]
        assert told["workers"] == {"ok": True, "by_queue": {"ami": 1, "post_processing": 1}}
        assert told["beat"]["at_most"] == 120
        assert told["warnings"] == []

    def test_scheduled_check_that_cannot_run_is_a_warning(self, client: Client) -> None:
        schedule_daily()
        IntegrityRun.objects.create(schedule=SCHEDULE_NAME, error="There is no project 7.")

        code, told = ask(client)

        assert (code, told["ok"]) == (200, True)
        said = "1 scheduled integrity check could not run; the list of runs shows the errors."
        assert told["warnings"] == [said]

    def test_answer_is_never_kept_and_needs_no_sign_in(self, client: Client) -> None:
        response = client.get("/healthz")
        assert "no-store" in response["Cache-Control"]
        assert client.head("/healthz").status_code == 200
        assert client.post("/healthz").status_code == 405

    def test_queries_are_few(
        self, client: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with django_assert_num_queries(7):  # some are the savepoint in the test
            ask(client)

    def test_answer_holds_no_address_and_no_secret(self, client: Client) -> None:
        text = client.get("/healthz").text
        for secret in (settings.SECRET_KEY, "redis:", "postgres", "localhost", "127.0.0.1"):
            assert secret not in text

    def test_age_of_the_health_check_is_told_and_does_not_fail(self, client: Client) -> None:
        assert ask(client)[1]["health_check"] == {"age": None}
        aged(Pulse.Name.HEALTH_CHECK, 5_000)
        code, told = ask(client)
        assert code == 200
        assert told["health_check"]["age"] >= 5_000


@pytest.mark.usefixtures("healthy")
class TestIll:
    def test_two_ticks_that_were_missed_turn_it_red(self, client: Client) -> None:
        aged(Pulse.Name.TICK, 60)
        assert ask(client)[0] == 200
        aged(Pulse.Name.TICK, 121)
        code, told = ask(client)
        assert (code, told["beat"]["ok"], told["ok"]) == (503, False, False)
        assert told["database"]["ok"]
        assert told["workers"]["ok"]

    def test_ticks_are_those_of_the_schedule(self, client: Client, schedule: Any) -> None:
        schedule.interval = IntervalSchedule.objects.create(every=5, period="seconds")
        schedule.save()
        aged(Pulse.Name.TICK, 11)
        assert ask(client)[0] == 503

    def test_ticks_may_be_those_of_a_crontab(self, client: Client, schedule: Any) -> None:
        schedule.crontab = CrontabSchedule.objects.create(minute="*/10", timezone="UTC")
        schedule.interval = None
        schedule.save()
        before = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        Pulse.objects.update(at=before)
        code, told = ask(client)
        assert (code, told["beat"]["at_most"]) == (503, pytest.approx(20 * 60, abs=5))
        CrontabSchedule.objects.update(day_of_month="30", month_of_year="2")
        assert ask(client)[1]["beat"]["at_most"] == 120

    def test_beat_that_was_never_heard_of_is_red(self, client: Client) -> None:
        Pulse.objects.all().delete()
        code, told = ask(client)
        assert (code, told["beat"]["age"]) == (503, None)

    def test_tick_that_an_operator_switched_off_is_not_missed(
        self, client: Client, schedule: Any
    ) -> None:
        schedule.enabled = False
        schedule.save()
        Pulse.objects.all().delete()
        assert ask(client)[0] == 200

    def test_queue_without_a_worker_is_red(self, client: Client, redis: Redis) -> None:
        redis.delete(f"{PREFIX}workers:post_processing")
        code, told = ask(client)
        assert code == 503
        assert told["workers"] == {"ok": False, "by_queue": {"ami": 1, "post_processing": 0}}

    def test_worker_that_has_fallen_silent_is_red(self, client: Client, redis: Redis) -> None:
        silent = time.time() - vitals.ALIVE_SECONDS - 1
        redis.zadd(f"{PREFIX}workers:ami", {Eventer.hostname: silent})
        assert ask(client)[1]["workers"]["by_queue"]["ami"] == 0

    def test_broker_that_is_down_is_red(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nobody = Redis.from_url("redis://127.0.0.1:1/0")
        monkeypatch.setattr(vitals, "_redis", lambda: nobody)
        code, told = ask(client)
        assert code == 503
        assert (told["broker"]["ok"], told["workers"]["ok"]) == (False, False)
        assert told["database"]["ok"]

    def test_database_of_an_untested_version_is_red(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "pg_version", 140_013)

        code, told = ask(client)

        reason = "The database runs on PostgreSQL 14; versions 15 to 18 are supported."
        assert (code, told["database"]) == (503, {"ok": False, "reason": reason})

    def test_database_that_is_down_is_red(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(self: Any) -> None:
            raise OperationalError("the database system is shutting down")

        monkeypatch.setattr(QuerySet, "_fetch_all", fail)
        code, told = ask(client)
        assert code == 503
        assert (told["database"]["ok"], told["beat"]["ok"]) == (False, False)
        assert told["broker"]["ok"]


@pytest.mark.django_db(transaction=True)
def test_table_that_is_locked_is_not_waited_for(client: Client) -> None:
    def lock() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE jobs_pulse")
            locked.set()
            assert asked.wait(60)

    locked, asked = Event(), Event()
    thread = run_in_thread(lock)
    assert locked.wait(60)
    code, told = ask(client)
    asked.set()
    thread.join()
    assert (code, told["database"]["ok"]) == (503, False)
    assert connection.is_usable()


@pytest.mark.usefixtures("healthy")
class TestHealthCheck:
    """The sub-check of the health check that examines beat."""

    def test_it_is_noted_and_finds_nothing(self) -> None:
        assert health.beat() == {"checked": 1, "fixed": 0, "unfixable": 0}
        assert Pulse.objects.filter(name=Pulse.Name.HEALTH_CHECK).exists()

    def test_beat_that_is_late_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        aged(Pulse.Name.TICK, 600)
        assert health.beat()["unfixable"] == 1
        assert re.search(r"Beat does not run; it last reported 60\d\.\d seconds ago\.", caplog.text)
        Pulse.objects.all().delete()
        health.beat()
        assert "Beat does not run; it never reported." in caplog.text
