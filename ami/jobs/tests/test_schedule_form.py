"""Periodic tasks of this project can be saved only with valid arguments."""

import json
from typing import Any

import pytest
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from ami.base.tests.factories import make_project

pytestmark = pytest.mark.django_db
ADD = "/admin/django_celery_beat/periodictask/add/"
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
        ("ami.main.tasks.regroup_events", [], {}, "deployment_id: field required"),
        ("ami.jobs.tasks.run_job", ["x"], {}, "job_id: value is not a valid integer"),
        ("ami.jobs.tasks.run_job", [True], {}, "job_id: value is not a valid integer"),
        ("ami.jobs.tasks.run_part", [], {"part_id": 1.5}, "part_id: value is not a valid integer"),
        ("ami.jobs.tasks.run_whole", [0], {}, "part_id: ensure this value is greater than or"),
        ("ami.main.tasks.regroup_events", [2**63], {}, "deployment_id: ensure this value is less"),
        ("ami.jobs.tasks.gone", [], {}, "There is no task ami.jobs.tasks.gone. Registered: ami."),
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
