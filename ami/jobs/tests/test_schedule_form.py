"""Periodic tasks of this project can be saved only with valid arguments."""

import json
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.test import Client, override_settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from ami.base.tests.factories import make_project

pytestmark = pytest.mark.django_db
LIST = "/admin/django_celery_beat/periodictask/"
ADD = f"{LIST}add/"
REGROUP = "ami.main.tasks.regroup_events"
CHECK = "ami.integrity.tasks.data_integrity_check"


def save(client: Client, task: str, args: Any = (), kwargs: Any = None) -> str | None:
    """The error that the form shows; None if it is saved."""
    every = IntervalSchedule.objects.get_or_create(every=1, period="days")[0]
    response = client.post(
        ADD,
        {
            "name": "Mine",
            "regtask": task,
            "interval": every.pk,
            "args": json.dumps(args),
            "kwargs": json.dumps(kwargs or {}),
            "priority": "",
            "headers": "{}",
        },
    )
    if response.status_code == 302:
        assert PeriodicTask.objects.filter(name="Mine", task=task).exists()
        return None
    assert response.status_code == 200
    assert not PeriodicTask.objects.filter(name="Mine").exists()
    (error,) = [e for errors in response.context["errors"] for e in errors]
    return str(error)


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "why"),
    [
        (CHECK, [], {"checks": ["gone"]}, "Unknown check 'gone'. Registered: "),
        (CHECK, [999_999], {}, "There is no project 999999."),
        (CHECK, [], {"dry_run": "no"}, "dry_run: value is not a valid boolean"),
        ("ami.main.tasks.check_data_integrity", ["x"], {}, "project_id: value is not a valid"),
        (CHECK, {}, {}, "Enter a list in brackets, […]."),
        (CHECK, "ab", {}, "Enter a list in brackets, […]."),
        (CHECK, [], [1], "Enter an object in braces, {…}."),
        ("ami.jobs.tasks.tick", [1], {}, "0 positional arguments expected but 1 given"),
        (REGROUP, [], {}, "deployment_id: field required"),
        (REGROUP, ["x"], {}, "deployment_id: value is not a valid integer"),
        (REGROUP, [True], {}, "deployment_id: value is not a valid integer"),
        (REGROUP, [], {"deployment_id": 1.5}, "deployment_id: value is not a valid integer"),
        (REGROUP, [0], {}, "deployment_id: ensure this value is greater than or"),
        (REGROUP, [2**63], {}, "deployment_id: ensure this value is less"),
    ],
)
def test_arguments_that_the_task_cannot_take_are_refused(
    admin_client: Client, task: str, args: Any, kwargs: Any, why: str
) -> None:
    error = save(admin_client, task, args, kwargs)
    assert error is not None
    assert why in error


@pytest.mark.parametrize("task", [CHECK, "ami.integrity.tasks.check_data_integrity"])
def test_arguments_that_fit_are_saved(admin_client: Client, task: str) -> None:
    project = make_project()
    assert save(admin_client, task, [project.pk], {"tags": ["counts"], "dry_run": False}) is None


@pytest.mark.parametrize("task", ["ami.jobs.tasks.tick", "celery.backend_cleanup"])
def test_tasks_without_arguments_and_those_of_others_are_saved(
    admin_client: Client, task: str
) -> None:
    assert save(admin_client, task) is None


@pytest.mark.parametrize("task", ["ami.jobs.tasks.run_job", "ami.jobs.tasks.gone", "os.system"])
def test_only_listed_tasks_are_scheduled(admin_client: Client, task: str) -> None:
    error = save(admin_client, task)
    assert error is not None
    assert f"The task {task} cannot be scheduled. Choose from ami." in error


def test_every_listed_task_is_registered() -> None:
    current_app.loader.import_default_modules()
    assert set(settings.PERIODIC_TASKS) <= set(current_app.tasks)


def test_listed_task_that_no_worker_knows_is_refused(admin_client: Client) -> None:
    with override_settings(PERIODIC_TASKS=["ami.jobs.tasks.gone"]):
        error = save(admin_client, "ami.jobs.tasks.gone")
    assert error is not None
    assert "There is no task ami.jobs.tasks.gone. Registered: ami." in error


def test_form_offers_the_listed_tasks(admin_client: Client) -> None:
    field = admin_client.get(ADD).context["adminform"].form.fields["regtask"]
    offered = {name for name, _ in field.widget.choices} - {""}
    assert offered == {name for name in settings.PERIODIC_TASKS if name.startswith("ami.")}


def test_typed_name_is_checked_too(admin_client: Client) -> None:
    every = IntervalSchedule.objects.create(every=1, period="days")
    form = {"name": "Mine", "task": "os.system", "interval": every.pk, "args": "[]"}
    response = admin_client.post(ADD, form | {"kwargs": "{}", "headers": "{}"})
    assert "The task os.system cannot be scheduled." in response.text


@pytest.mark.parametrize("action", ["enable_tasks", "toggle_tasks", "run_tasks"])
@pytest.mark.parametrize("across", ["0", "1"])
def test_task_that_is_not_listed_is_neither_enabled_nor_run(
    admin_client: Client, action: str, across: str
) -> None:
    every = IntervalSchedule.objects.create(every=1, period="days")
    listed, other = (
        PeriodicTask.objects.create(name=name, task=task, interval=every, enabled=False)
        for name, task in [("Tick", "ami.jobs.tasks.tick"), ("Odd", "ami.jobs.tasks.run_job")]
    )
    form = {"action": action, "index": 0, "select_across": across}
    chosen = [listed.pk] if across == "1" else [listed.pk, other.pk]
    page = admin_client.post(LIST, form | {"_selected_action": chosen}, follow=True)
    assert "some of the selected tasks cannot be scheduled: Odd." in page.text
    assert not PeriodicTask.objects.filter(pk__in=[listed.pk, other.pk], enabled=True).exists()


def test_listed_task_is_enabled_and_any_task_disabled(admin_client: Client) -> None:
    every = IntervalSchedule.objects.create(every=1, period="days")
    listed = PeriodicTask.objects.create(
        name="Tick", task="ami.jobs.tasks.tick", interval=every, enabled=False
    )
    other = PeriodicTask.objects.create(name="Odd", task="ami.jobs.tasks.run_job", interval=every)
    for action, row in (("enable_tasks", listed), ("disable_tasks", other)):
        admin_client.post(LIST, {"action": action, "index": 0, "_selected_action": [row.pk]})
    assert set(PeriodicTask.objects.filter(pk__in=[listed.pk, other.pk], enabled=True)) == {listed}
