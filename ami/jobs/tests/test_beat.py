"""A real beat and a real worker: the tick, and edited schedules."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from ami.integrity.models import IntegrityRun
from ami.integrity.schedule import TASK
from ami.jobs.models import Pulse
from ami.jobs.watch.vitals import TICK_TASK
from config.tests.forks import CeleryProcess
from config.tests.processes import database_url, wait_until


def every_second(name: str, task: str, **fields: Any) -> PeriodicTask:
    interval, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    return PeriodicTask.objects.create(name=name, task=task, interval=interval, **fields)


@pytest.fixture
def beat(transactional_db: None, celery_worker: str, tmp_path: Path) -> Iterator[CeleryProcess]:
    """Beat with a schedule of seconds."""
    PeriodicTask.objects.all().delete()
    every_second("jobs.tick", TICK_TASK)
    every_second("integrity", TASK, kwargs='{"checks": ["taxon_loop"]}')
    beat = CeleryProcess(
        "beat", "--max-interval=1", log=tmp_path / "beat.log", DATABASE_URL=database_url()
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


def test_pulse_names_itself() -> None:
    assert str(Pulse(name=Pulse.Name.TICK)) == "Celery beat"
