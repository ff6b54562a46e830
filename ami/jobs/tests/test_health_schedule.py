"""The schedule that a migration makes, and an operator's edits of it."""

from importlib import import_module

import pytest
from django.apps import apps
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from ami.jobs.tasks import jobs_health_check

pytestmark = pytest.mark.django_db

migration = import_module("ami.jobs.migrations.0005_schedule_health_check")


@pytest.fixture(autouse=True)
def _unscheduled(db: None) -> None:
    PeriodicTask.objects.all().delete()
    IntervalSchedule.objects.all().delete()


def test_health_check_is_due_every_15_minutes() -> None:
    migration.schedule(apps, None)
    task = PeriodicTask.objects.get()
    assert (task.task, task.expire_seconds) == (jobs_health_check.name, 14 * 60)
    assert str(task.interval) == "every 15 minutes"
    assert task.enabled


def test_edits_of_an_operator_are_kept() -> None:
    migration.schedule(apps, None)
    hourly = IntervalSchedule.objects.create(every=1, period="hours")
    PeriodicTask.objects.update(enabled=False, interval=hourly)
    migration.schedule(apps, None)
    task = PeriodicTask.objects.get()
    assert (task.enabled, task.interval) == (False, hourly)


def test_reverse_removes_its_own_row_only() -> None:
    interval = IntervalSchedule.objects.create(every=15, period="minutes")
    other = PeriodicTask.objects.create(name="Mine", task="other", interval=interval)
    migration.schedule(apps, None)
    migration.unschedule(apps, None)
    assert list(PeriodicTask.objects.all()) == [other]
    assert IntervalSchedule.objects.count() == 1
