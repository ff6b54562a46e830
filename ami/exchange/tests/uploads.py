"""Imports as Jobs: queued by code, or uploaded in the admin."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from ami.exchange import uploads
from ami.exchange.importing.options import ImportOptions
from ami.exchange.importing.service import new_import, queue_import
from ami.exchange.models import Import
from ami.exchange.plan import ImportPlan
from ami.exchange.reading.registry import READERS
from ami.jobs.models import Job
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import Project

ADD = "admin:exchange_import_add"


def queued(data: Any, project: Project, *, dry_run: bool = False, **options: Any) -> Job:
    """A queued Job that imports an upload."""
    path = default_storage.save(
        "imports/token/occurrences.json", ContentFile(json.dumps(data).encode())
    )
    job = new_import(
        READERS["antenna_examples"],
        ImportOptions(media=None, **options),
        name="occurrences.json",
        project=project,
        dry_run=dry_run,
    )
    return queue_import(job, path, name="occurrences.json")


def imported(data: Any, project: Project, **options: Any) -> Job:
    """The ended Job that has imported an upload."""
    return run_to_end(queued(data, project, **options))


def plan_of(job: Job) -> ImportPlan:
    return ImportPlan.from_json(Import.objects.get(job=job).plan)


def file_of(data: Any, name: str = "occurrences.json") -> SimpleUploadedFile:
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    return SimpleUploadedFile(name, content)


def upload(client: Client, data: Any, project: Project, **fields: Any) -> Any:
    name = fields.pop("name", "occurrences.json")
    form = {"file": file_of(data, name), "project": project.pk, "launch_key": uuid4(), **fields}
    return client.post(reverse(ADD), form)


def page_of(client: Client, job: Job) -> str:
    return client.get(reverse("admin:jobs_job_change", args=[job.pk])).text


def apply(client: Client, job: Job, **fields: Any) -> Any:
    return client.post(reverse("admin:jobs_job_again", args=[job.pk]), fields, follow=True)


def stored() -> list[str]:
    """The files below the folder of imports, and those of uploads that were not stored."""
    found = []
    for folder in (uploads.FOLDER, uploads.TEMPORARY):
        path = Path(default_storage.path(folder))
        found += [str(one) for one in path.rglob("*") if one.is_file()]
    return found
