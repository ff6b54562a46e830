"""The changes on the Job page, their list and export, and the page before a revert."""

import csv
import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from ami.base.tests.factories import (
    make_classification,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
)
from ami.jobs.journal.triggers import journaled
from ami.jobs.models import Job, JobChange, JobState
from ami.jobs.tests.admin import CHANGES, LIST, page_of, sign_in
from ami.jobs.tests.job_types import make_job
from ami.main.models import Classification, Occurrence, Taxon

pytestmark = pytest.mark.django_db


def make_run(*, occurrences: int = 3) -> Job:
    """A Job that has changed the taxon of occurrences and classified a detection."""
    job = make_job(status=JobState.SUCCESS, name="Masking <of> a night", project=make_project())
    former, present = make_taxon(name="Noctua <janthe>"), make_taxon(name="Noctua pronuba")
    rows = [make_occurrence() for _ in range(occurrences)]
    Occurrence.objects.update(determination=former, determination_score=0.5)
    detection = make_detection(occurrence=rows[0])
    with journaled(job):
        make_classification(detection=detection, taxon=present, scores=[0.25, 0.5])
        Occurrence.objects.update(determination=present)
    return job


def pieces(admin_client: Client, job: Job) -> list[bytes]:
    response: Any = admin_client.get(page_of(job, "changes.csv"))
    assert response.streaming
    return list(response.streaming_content)


def exported(admin_client: Client, job: Job) -> list[str]:
    return b"".join(pieces(admin_client, job)).decode().splitlines()


def test_page_counts_changes_by_kind_and_leads_to_them(admin_client: Client) -> None:
    job = make_run()
    response = admin_client.get(page_of(job))
    counts = response.context["journal"]["counts"]
    assert [(count["kind"], count["noun"], count["rows"]) for count in counts] == [
        ("Changed", "occurrences", 3),
        ("Created", "classifications", 1),
    ]
    for count in counts:
        listed = admin_client.get(count["url"])
        assert listed.context["cl"].result_count == count["rows"]
    assert admin_client.get(response.context["journal"]["all_url"]).context["cl"].result_count == 4


def test_page_of_an_emptied_job_does_not_say_that_it_changed_nothing(admin_client: Client) -> None:
    job = make_run()
    job.changes.all().delete()
    Job.objects.filter(pk=job.pk).update(pruned_at=timezone.now())
    page = admin_client.get(page_of(job)).text
    assert "were deleted on" in page
    assert "Deleted." in page
    assert "None." not in page.partition('<h2 class="fieldset-heading">Parameters</h2>')[0]


def test_page_shows_taxon_transitions(admin_client: Client) -> None:
    job = make_run()
    page = admin_client.get(page_of(job))
    (transition,) = page.context["journal"]["transitions"]
    assert (transition.name_before, transition.name_after, transition.occurrences) == (
        "Noctua <janthe>",
        "Noctua pronuba",
        3,
    )
    assert "Noctua &lt;janthe&gt;" in page.text


def test_many_transitions_are_cut_and_the_rest_counted(admin_client: Client) -> None:
    job = make_job(status=JobState.SUCCESS)
    rows = [make_occurrence() for _ in range(25)]
    with journaled(job):
        for row in rows:
            Occurrence.objects.filter(pk=row.pk).update(determination=make_taxon())
    journal = admin_client.get(page_of(job)).context["journal"]
    assert len(journal["transitions"]) == 10
    assert journal["more"] == {"kinds": 15, "occurrences": 15}


def test_running_job_counts_nothing(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    job = make_run()
    Job.objects.update(status=JobState.STARTED)
    with django_assert_max_num_queries(7):
        part = admin_client.get(page_of(job, "live/"))
    assert part.context["journal"] is None
    assert "Revert…" not in part.text


def test_list_shows_before_and_after(admin_client: Client) -> None:
    job = make_run(occurrences=1)
    page = admin_client.get(f"{CHANGES}?job__id__exact={job.pk}").text
    former = Taxon.objects.get(name="Noctua <janthe>").pk
    classification = Classification.objects.get()
    assert f"/admin/main/classification/{classification.pk}/change/" in page
    assert f"/admin/main/taxon/{former}/change/" in page
    assert " → " in page
    assert "0.25" not in page  # no vectors


def test_list_shows_fractions_in_short_and_the_job_where_it_is_not_filtered(
    admin_client: Client,
) -> None:
    job = make_run(occurrences=1)
    with journaled(job):
        Occurrence.objects.update(determination_score=0.7310585786300049)
    of_this = admin_client.get(f"{CHANGES}?job__id__exact={job.pk}").text
    assert "0.5 → 0.731059" in of_this
    assert "column-job_link" not in of_this
    assert "column-job_link" in admin_client.get(CHANGES).text


def test_list_takes_the_same_queries_for_any_number_of_changes(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    job = make_run(occurrences=40)
    with django_assert_max_num_queries(11):
        assert admin_client.get(f"{CHANGES}?job__id__exact={job.pk}").text.count(" → ") >= 40


def test_list_names_taxa_and_its_job(admin_client: Client) -> None:
    job = make_run(occurrences=1)
    page = admin_client.get(f"{CHANGES}?job__id__exact={job.pk}").text
    assert f"Changes of Job {job.pk}" in page
    assert ">Noctua &lt;janthe&gt;</a> → " in page
    assert ">Noctua pronuba</a>" in page


def test_row_that_is_gone_is_named_without_a_link(admin_client: Client) -> None:
    job = make_run(occurrences=1)
    gone = Classification.objects.get()
    Classification.objects.all().delete()
    page = admin_client.get(f"{CHANGES}?job__id__exact={job.pk}").text
    assert f"/admin/main/classification/{gone.pk}/" not in page
    detection = f"/admin/main/detection/{gone.detection_id}/change/"
    assert f'Classification {gone.pk} of <a href="{detection}">' in page


def test_dry_run_tells_what_would_change(admin_client: Client) -> None:
    job = make_run(occurrences=1)
    made = Classification.objects.get()
    Job.objects.update(dry_run=True)
    Classification.objects.all().delete()
    page = admin_client.get(page_of(job)).text
    for text in ("Dry run: nothing was written.", "Would change", "that would be created"):
        assert text in page
    assert "Revert…" not in page
    changes = admin_client.get(f"{CHANGES}?job__id__exact={job.pk}").text
    assert f"What Job {job.pk} would change" in changes
    assert "Would be created" in changes
    assert "New classification of <a" in changes
    assert f"/admin/main/classification/{made.pk}/" not in changes


def test_taxa_that_a_dry_run_would_make_are_one(admin_client: Client) -> None:
    job = make_job(status=JobState.SUCCESS, dry_run=True)
    former, *new = (make_taxon() for _ in range(3))
    rows = [make_occurrence() for _ in range(4)]
    Occurrence.objects.update(determination=former)
    with journaled(job):
        for row, taxon in zip(rows, [*new, *new], strict=True):
            Occurrence.objects.filter(pk=row.pk).update(determination=taxon)
    Occurrence.objects.update(determination=former)
    Taxon.objects.exclude(pk=former.pk).delete()
    page = admin_client.get(page_of(job))
    (transition,) = page.context["journal"]["transitions"]
    assert (transition.name_before, transition.name_after) == (former.name, "a new taxon")
    assert transition.occurrences == 4
    assert "→ a new taxon" in admin_client.get(f"{CHANGES}?job__id__exact={job.pk}").text


def test_dry_run_is_not_reverted(admin_client: Client) -> None:
    job = make_run()
    Job.objects.update(dry_run=True)
    response = admin_client.post(page_of(job, "revert/"), follow=True)
    assert f"Job {job.pk} was a dry run, which wrote nothing." in response.text
    assert not Job.objects.filter(reverts=job).exists()


def test_changes_are_exported_as_csv(admin_client: Client) -> None:
    job = make_run(occurrences=2)
    lines = list(csv.DictReader(exported(admin_client, job)))
    assert [(line["kind"], line["model"]) for line in lines] == [
        ("created", "main.classification"),
        ("changed", "main.occurrence"),
        ("changed", "main.occurrence"),
    ]
    change = job.changes.order_by("pk").last()
    assert change
    assert json.loads(lines[-1]["before"]) == change.before
    assert lines[0]["before"] == ""


def test_export_reads_and_sends_in_chunks(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    job = make_job(status=JobState.SUCCESS)
    JobChange.objects.bulk_create(
        JobChange(job=job, batch=1, kind="changed", model="main.occurrence", object_id=pk)
        for pk in range(5_000)
    )
    with django_assert_max_num_queries(3 + 2 * 3):  # each chunk and its occurrences
        sent = pieces(admin_client, job)
    assert [piece.count(b"\n") for piece in sent] == [1, 2_000, 2_000, 1_000]


def test_revert_is_asked_for_and_queued(admin_client: Client) -> None:
    job = make_run()
    assert page_of(job, "revert/") in admin_client.get(page_of(job)).text
    question = admin_client.get(page_of(job, "revert/"))
    assert question.status_code == 200
    assert "Masking &lt;of&gt; a night" in question.text
    assert not Job.objects.filter(reverts=job).exists()

    answer = admin_client.post(page_of(job, "revert/"), follow=True)
    revert = Job.objects.get(reverts=job)
    assert (revert.status, revert.job_type_key) == (JobState.PENDING, "revert")
    assert revert.user
    assert f'<a href="{page_of(job)}">Job {job.pk}</a>' in answer.text
    page = admin_client.get(page_of(job)).text
    assert f'<a href="{page_of(revert)}">Job {revert.pk}</a>, queued' in page
    assert "Revert…" not in page


def test_second_click_makes_no_second_revert(admin_client: Client) -> None:
    job = make_run()
    admin_client.post(page_of(job, "revert/"))
    response = admin_client.post(page_of(job, "revert/"), follow=True)
    (revert,) = Job.objects.filter(reverts=job)
    assert f"Job {job.pk} is being reverted by Job {revert.pk}." in response.text


@pytest.mark.parametrize("status", [JobState.STARTED, JobState.PENDING])
def test_job_that_has_not_ended_is_not_reverted(admin_client: Client, status: JobState) -> None:
    job = make_run()
    Job.objects.update(status=status)
    for method in (admin_client.get, admin_client.post):
        response = method(page_of(job, "revert/"), follow=True)
        assert f"Job {job.pk} has not ended." in response.text
    assert not Job.objects.filter(reverts=job).exists()


def test_job_without_changes_offers_no_revert(admin_client: Client) -> None:
    job = make_job(status=JobState.SUCCESS)
    assert "Revert…" not in admin_client.get(page_of(job)).text
    response = admin_client.post(page_of(job, "revert/"), follow=True)
    assert f"Job {job.pk} has changed nothing." in response.text


def test_revert_needs_permission(client: Client) -> None:
    job = make_run()
    sign_in(client, project=job.project)
    assert "Revert…" not in client.get(page_of(job)).text
    assert client.get(page_of(job, "revert/")).status_code == 403
    assert client.post(page_of(job, "revert/")).status_code == 403
    assert not Job.objects.filter(reverts=job).exists()


def test_changes_need_permission(client: Client) -> None:
    job = make_run()
    sign_in(client, "view_occurrence")
    assert client.get(page_of(job, "changes.csv")).status_code == 404
    assert client.get(CHANGES).status_code == 403


def test_viewer_of_jobs_and_changes_sees_both(client: Client) -> None:
    job = make_run()
    sign_in(client, "add_job", project=job.project)
    assert client.get(page_of(job, "changes.csv")).status_code == 200
    assert client.get(CHANGES).status_code == 200
    assert "Revert…" in client.get(page_of(job)).text


def test_job_is_deleted_with_its_changes(admin_client: Client) -> None:
    job = make_run()
    admin_client.post(page_of(job, "delete/"), {"post": "yes"})
    assert not Job.objects.filter(pk=job.pk).exists()
    assert not JobChange.objects.exists()


@pytest.mark.parametrize("status", [JobState.PENDING, JobState.STARTED, JobState.PAUSED])
def test_job_that_has_not_ended_is_not_deleted(admin_client: Client, status: JobState) -> None:
    job = make_job(status=status)
    admin_client.post(page_of(job, "delete/"), {"post": "yes"})
    admin_client.post(
        LIST, {"action": "delete_selected", "_selected_action": job.pk, "post": "yes"}
    )
    assert Job.objects.filter(pk=job.pk).exists()


def test_changes_are_neither_added_nor_edited(admin_client: Client) -> None:
    change = make_run().changes.earliest("pk")
    assert admin_client.get(f"{CHANGES}add/").status_code == 403
    admin_client.post(f"{CHANGES}{change.pk}/change/", {"kind": "created"})
    assert JobChange.objects.filter(pk=change.pk, kind=change.kind).exists()
    assert "delete_selected" not in admin_client.get(CHANGES).text
