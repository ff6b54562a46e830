"""Rows that an unfinished export, import or shift of a clock works on are not deleted."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import make_deployment
from ami.exchange.clock import plan_shift, queue_shift
from ami.exchange.export.registry import FORMATS, ExportOptions
from ami.exchange.export.scope import Scope
from ami.exchange.models import Import
from ami.exchange.tests.export_world import World
from ami.exchange.tests.exports import make_record
from ami.exchange.tests.uploads import queued
from ami.exchange.work import queue_exports
from ami.jobs.models import Job, JobState
from ami.main.models import SourceImageCollection

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folder")]


def export(world: World, **limit: Any) -> Any:
    scope = Scope(world.project.pk, **limit)
    return queue_exports(FORMATS["csv"], ExportOptions(), [("all", scope)])[0]


def exported(world: World, name: str) -> tuple[Any, Job]:
    """A row, and the unfinished export of it."""
    if name == "capture set":
        june = SourceImageCollection.objects.create(project=world.project, name="June")
        return june, export(world, collection_id=june.pk)
    if name == "occurrence":
        return world.first, export(world, occurrence_ids=frozenset([world.first.pk]))
    if name == "record of an export":
        job = export(world)
        return job.export, job
    job = export(world, event_id=world.night.pk)
    return (world.night if name == "night" else world.deployment), job


def needed(world: World, name: str) -> tuple[Any, Job]:
    if name == "deployment whose clock is shifted":
        return world.deployment, queue_shift(plan_shift(world.deployment, timedelta(hours=1)))
    if name == "record of an import":
        job = queued([make_record(1)], world.project)
        return Import.objects.get(job=job), job
    if name == "deployment of an import":
        return world.deployment, queued([make_record(1)], world.project)
    return exported(world, name)


@pytest.mark.parametrize(
    "name",
    [
        "capture set",
        "night",
        "deployment of a night",
        "occurrence",
        "record of an export",
        "record of an import",
        "deployment of an import",
        "deployment whose clock is shifted",
    ],
)
def test_what_a_job_needs_is_not_deleted_before_its_end(admin_client: Client, name: str) -> None:
    row, job = needed(World(), name)
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_delete", args=[row.pk])
    link = f'<a href="{reverse("admin:jobs_job_change", args=[job.pk])}">Job {job.pk}</a>'
    for text in (admin_client.get(url).text, admin_client.post(url, {"post": "yes"}).text):
        assert "cannot be deleted now" in text
        assert f"{link}, “" in text
    row.refresh_from_db()

    Job.objects.update(status=JobState.SUCCESS)
    admin_client.post(url, {"post": "yes"})
    assert not type(row).objects.filter(pk=row.pk).exists()


def test_other_rows_are_deleted(admin_client: Client) -> None:
    world = World()
    export(world, event_id=world.night.pk)
    queued([make_record(1)], world.project)
    other = make_deployment()
    url = reverse("admin:main_deployment_delete", args=[other.pk])
    admin_client.post(url, {"post": "yes"})
    assert not type(other).objects.filter(pk=other.pk).exists()
