"""Rows that a Job needs are kept until it ends, and no row refers to a deleted Job."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import (
    make_algorithm,
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_occurrence,
    make_project,
    make_taxon,
)
from ami.jobs.models import Job, JobChange
from ami.jobs.states import JobState
from ami.main.models import Classification, Event, TaxaList
from ami.main.tests.test_determination_locks import (
    run_in_thread,
    wait_until_someone_waits_for_a_lock,
)
from ami.ml.models import AlgorithmCategoryMap

pytestmark = pytest.mark.django_db


def running(**fields: Any) -> Job:
    return Job.objects.create(**{"name": "Masking on June", "status": JobState.STARTED} | fields)


def run_on(**config: Any) -> Job:
    params = {"task": "small_size_filter", "config": config}
    return running(job_type_key="post_processing", params=params)


def make_event() -> Event:
    return Event.objects.create(group_by="2022-06-20")


def needed_by_a_run(name: str) -> tuple[Any, Job]:
    """A row, and an unfinished Job that runs on it."""
    makers: dict[str, Any] = {
        "source_image_collection_id": lambda: make_capture_set([make_capture()]),
        "event_id": make_event,
        "event_ids": make_event,
        "occurrence_id": make_occurrence,
    }
    row = makers[name]()
    return row, run_on(**{name: [0, row.pk] if name == "event_ids" else row.pk})


def needed_by_any_job(name: str) -> tuple[Any, Job]:
    """A row, and an unfinished Job that may need it."""
    makers: dict[str, Any] = {
        "project": make_project,
        "taxon": make_taxon,
        "algorithm": make_algorithm,
        "taxa list": lambda: TaxaList.objects.create(name="June"),
        "category map": lambda: AlgorithmCategoryMap.objects.create(data=[]),
    }
    row = makers[name]()
    return row, running(project=row if name == "project" else None)


def needed(name: str) -> tuple[Any, Job]:
    if name == "job":
        return (job := running()), job
    if name in {"reverted job", "job whose revert is foretold"}:
        reverted = running(status=JobState.SUCCESS)
        fields = {"reverts": reverted} if name == "reverted job" else {"dry_run": True}
        params = {"job": reverted.pk}
        return reverted, running(job_type_key="revert", params=params, **fields)
    if name == "deployment of an event":
        event = Event.objects.create(group_by="2022-06-20", deployment=make_deployment())
        return event.deployment, run_on(event_id=event.pk)
    return needed_by_a_run(name) if "_id" in name else needed_by_any_job(name)


@pytest.mark.parametrize(
    "name",
    [
        "project",
        "source_image_collection_id",
        "event_id",
        "event_ids",
        "deployment of an event",
        "occurrence_id",
        "job",
        "reverted job",
        "job whose revert is foretold",
        "taxon",
        "algorithm",
        "taxa list",
        "category map",
    ],
)
def test_what_a_job_needs_is_not_deleted_before_its_end(admin_client: Client, name: str) -> None:
    row, job = needed(name)
    names = f"admin:{row._meta.app_label}_{row._meta.model_name}"
    action = {"action": "delete_selected", "_selected_action": row.pk}
    link = f'<a href="{reverse("admin:jobs_job_change", args=[job.pk])}">Job {job.pk}</a>'
    for url, data in (
        (reverse(f"{names}_delete", args=[row.pk]), {}),
        (reverse(f"{names}_changelist"), action),
    ):
        for posted in (data, data | {"post": "yes"}):
            method = admin_client.post if posted else admin_client.get
            text = method(url, posted).content.decode()
            assert "cannot be deleted now" in text
            assert f"{link}, “{job.name}”, has not ended: cancel it or wait" in text
    row.refresh_from_db()

    Job.objects.update(status=JobState.SUCCESS)
    admin_client.post(reverse(f"{names}_delete", args=[row.pk]), {"post": "yes"})
    assert not type(row).objects.filter(pk=row.pk).exists()


def test_no_more_than_the_first_jobs_are_named(admin_client: Client) -> None:
    taxon = make_taxon()
    for _ in range(8):
        running()

    text = admin_client.get(reverse("admin:main_taxon_delete", args=[taxon.pk])).content.decode()

    assert text.count("has not ended") == 5


@pytest.mark.parametrize("params", [[], None, "x", {"config": []}, {"config": {"event_id": "x"}}])
def test_odd_parameters_keep_nothing(admin_client: Client, params: Any) -> None:
    event = make_event()
    job = run_on()
    Job.objects.filter(pk=job.pk).update(params=params or {})

    url = reverse("admin:main_event_delete", args=[event.pk])
    assert "cannot be deleted now" not in admin_client.get(url).content.decode()


def make_change(job: Job) -> JobChange:
    return JobChange.objects.create(
        job=job, batch=1, kind="created", model="main.classification", object_id=1
    )


def test_nothing_names_a_job_that_is_deleted_by_sql() -> None:
    gone, kept = running(), running()
    classification = make_classification(job=gone)
    make_change(gone)
    other = make_change(kept)

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM jobs_job WHERE id = %s", [gone.pk])

    classification.refresh_from_db()
    assert classification.job_id is None
    assert list(JobChange.objects.all()) == [other]


def test_classifications_name_no_job_that_is_gone() -> None:
    kept = running()
    rows = [make_classification() for _ in range(2)]
    for row, job_id in zip(rows, (kept.pk, kept.pk + 1_000), strict=True):
        row.pk, row.job_id = None, job_id

    Classification.objects.bulk_create(rows)

    written = Classification.objects.filter(pk__in=[row.pk for row in rows]).order_by("pk")
    assert [row.job_id for row in written] == [kept.pk, None]


@pytest.mark.django_db(transaction=True)
def test_what_is_committed_while_a_job_is_deleted_does_not_name_it() -> None:
    job, row = running(), make_classification()
    row.pk, row.job = None, job

    with transaction.atomic():
        row.save()  # holds the Job from here, as a batch does
        make_change(job)
        thread = run_in_thread(job.delete)
        wait_until_someone_waits_for_a_lock()
    thread.join()

    row.refresh_from_db()
    assert row.job_id is None
    assert not Job.objects.exists()
    assert not JobChange.objects.exists()
