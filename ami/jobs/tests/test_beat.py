"""A real beat and a real worker: the tick, and what becomes of schedules that people edit."""

import signal
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from ami.jobs.integrity import TASK
from ami.jobs.models import Pulse
from ami.jobs.watch.vitals import TICK_TASK
from ami.main.models import IntegrityRun
from config.tests.forks import CeleryProcess
from config.tests.processes import wait_until

MIGRATION: Any = import_module("ami.jobs.migrations.0008_schedule_tick")


def every_second(name: str, task: str, **fields: Any) -> PeriodicTask:
    interval, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    return PeriodicTask.objects.create(name=name, task=task, interval=interval, **fields)


@pytest.fixture
def beat(transactional_db: None, celery_worker: str, tmp_path: Path) -> Iterator[CeleryProcess]:
    """Beat, on a schedule of seconds."""
    PeriodicTask.objects.all().delete()
    every_second("jobs.tick", TICK_TASK)
    every_second("integrity", TASK, kwargs='{"checks": ["taxon_loop"]}')
    database = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}")
    beat = CeleryProcess(
        "beat", "--max-interval=1", log=tmp_path / "beat.log", DATABASE_URL=database.geturl()
    )
    try:
        yield beat
    finally:
        beat.kill()


def test_beat_fires_the_schedule_and_a_wedged_one_turns_healthz_red(
    beat: CeleryProcess, client: Client
) -> None:
    wait_until(lambda: client.get("/healthz").status_code == 200, seconds=60)
    wait_until(IntegrityRun.objects.filter(finished_at__isnull=False).exists, seconds=60)
    assert IntegrityRun.objects.earliest("pk").results.get().key == "taxon_loop"

    beat.signal(signal.SIGSTOP)

    wait_until(lambda: client.get("/healthz").status_code == 503)
    told = client.get("/healthz").json()
    assert not told["beat"]["ok"]
    assert told["beat"]["at_most"] == 2
    assert told["database"]["ok"]
    assert told["broker"]["ok"]
    assert told["workers"]["ok"]
    beat.signal(signal.SIGCONT)
    wait_until(lambda: client.get("/healthz").status_code == 200)


@pytest.mark.django_db
class TestMigration:
    """What `migrate` does to schedules, there and back."""

    @pytest.fixture(autouse=True)
    def nothing_scheduled(self) -> None:
        PeriodicTask.objects.all().delete()

    def test_tick_is_scheduled_once_a_minute(self) -> None:
        MIGRATION.schedule(apps, None)
        tick = PeriodicTask.objects.get()
        assert (tick.name, tick.task) == (MIGRATION.NAME, TICK_TASK)
        assert str(tick.interval) == "every minute"
        assert tick.enabled
        assert tick.expire_seconds == 60

    def test_schedule_that_was_edited_is_kept(self) -> None:
        MIGRATION.schedule(apps, None)
        tick = PeriodicTask.objects.get()
        tick.interval = IntervalSchedule.objects.create(every=3, period="hours")
        tick.enabled = False
        tick.save()

        MIGRATION.schedule(apps, None)
        call_command("migrate", verbosity=0)

        kept = PeriodicTask.objects.get()
        assert (kept.enabled, kept.interval.every) == (False, 3)

    def test_way_back_removes_its_own_row_only(self) -> None:
        MIGRATION.schedule(apps, None)
        other = every_second("Mine", TICK_TASK)

        MIGRATION.unschedule(apps, None)

        assert PeriodicTask.objects.get() == other
        assert IntervalSchedule.objects.filter(every=1, period="minutes").exists()

    def test_row_of_that_name_with_another_task_is_left_alone(self) -> None:
        mine = every_second(MIGRATION.NAME, "mine")
        MIGRATION.schedule(apps, None)
        MIGRATION.unschedule(apps, None)
        assert PeriodicTask.objects.get() == mine

    def test_running_beat_is_told(self) -> None:
        PeriodicTasks.objects.all().delete()
        MIGRATION.schedule(apps, None)
        assert PeriodicTasks.last_change() is not None

    def test_two_intervals_of_a_minute_are_no_trouble(self) -> None:
        IntervalSchedule.objects.all().delete()
        for _ in range(2):
            IntervalSchedule.objects.create(every=1, period="minutes")
        MIGRATION.schedule(apps, None)
        assert PeriodicTask.objects.get()


def test_pulse_names_itself() -> None:
    assert str(Pulse(name=Pulse.Name.TICK)) == "Celery beat"
