"""The schedules that migrations make, and an operator's edits of them."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from ami.base.tests.factories import make_user
from ami.jobs.tasks import jobs_health_check
from ami.jobs.watch.vitals import TICK_TASK

pytestmark = pytest.mark.django_db

BEFORE = "0004_index_severe_log_lines"
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


def edit_in_the_admin(client: Client, task: PeriodicTask, **changes: Any) -> None:
    client.force_login(make_user(is_staff=True, is_superuser=True))
    path = f"/admin/django_celery_beat/periodictask/{task.pk}/change/"
    form = client.get(path).context["adminform"].form
    fields = {name: value for name, value in form.initial.items() if value is not None} | changes
    response = client.post(path, {name: value for name, value in fields.items() if value != ""})
    assert response.status_code == 302


def test_migrate_keeps_what_was_edited_in_the_admin_and_back_removes_its_own_rows_only(
    client: Client,
) -> None:
    interval = IntervalSchedule.objects.create(every=2, period="days")
    mine = PeriodicTask.objects.create(name="Mine", task=TICK_TASK, interval=interval)
    call_command("migrate", "jobs", BEFORE, verbosity=0)
    assert PeriodicTask.objects.get() == mine
    call_command("migrate", verbosity=0)
    assert set(PeriodicTask.objects.exclude(pk=mine.pk).values_list("name", "task")) == {
        ("jobs.health_check", jobs_health_check.name),
        ("jobs.tick", TICK_TASK),
    }

    for task in PeriodicTask.objects.exclude(pk=mine.pk):
        edit_in_the_admin(client, task, interval=interval.pk, enabled="", description="Edited.")
    call_command("migrate", verbosity=0)
    for task in PeriodicTask.objects.exclude(pk=mine.pk):
        assert (task.interval, task.enabled, task.description) == (interval, False, "Edited.")

    call_command("migrate", "jobs", BEFORE, verbosity=0)
    assert PeriodicTask.objects.get() == mine
    call_command("migrate", verbosity=0)
