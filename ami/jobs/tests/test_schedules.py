"""The schedules that migrations create, and an operator's edits of them."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from ami.base.tests.factories import make_user
from ami.jobs.tasks import jobs_health_check
from ami.jobs.watch.vitals import TICK_TASK

pytestmark = pytest.mark.django_db

BEFORE = "0001_initial"
migration = import_module("ami.jobs.migrations.0002_project_and_triggers")


@pytest.fixture(autouse=True)
def _unscheduled(db: None) -> None:
    PeriodicTask.objects.all().delete()
    IntervalSchedule.objects.all().delete()


def scheduled() -> dict[str, PeriodicTask]:
    migration.schedule(apps, None)
    return {task.name: task for task in PeriodicTask.objects.all()}


def test_each_task_is_scheduled_once() -> None:
    scheduled()
    tasks = scheduled()
    assert {
        name: (task.task, str(task.interval), task.expire_seconds) for name, task in tasks.items()
    } == {
        "jobs.health_check": (jobs_health_check.name, "every 15 minutes", 14 * 60),
        "jobs.tick": (TICK_TASK, "every minute", 60),
    }
    assert all(task.enabled for task in tasks.values())


def test_row_of_that_name_with_another_task_is_left_alone() -> None:
    interval = IntervalSchedule.objects.create(every=2, period="days")
    mine = PeriodicTask.objects.create(name="jobs.tick", task="mine", interval=interval)
    assert scheduled()["jobs.tick"].task == "mine"
    migration.unschedule(apps, None)
    assert PeriodicTask.objects.get() == mine


def test_running_beat_is_told() -> None:
    PeriodicTasks.objects.all().delete()
    scheduled()
    assert PeriodicTasks.last_change() is not None


def test_two_equal_intervals_are_no_trouble() -> None:
    for _ in range(2):
        IntervalSchedule.objects.create(every=1, period="minutes")
    assert "jobs.tick" in scheduled()


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
        ("exchange.delete_expired_exports", "ami.exchange.tasks.delete_expired_exports"),
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
