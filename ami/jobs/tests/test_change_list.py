"""The list of changes and their export: crops, occurrences, searches and filters."""

import csv
from typing import Any

import pytest
from django.test import Client

from ami.base.tests.factories import (
    make_classification,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
)
from ami.jobs.journal.triggers import journaled
from ami.jobs.models import Job, JobChange, JobState
from ami.jobs.tests.admin import CHANGES, page_of, sign_in
from ami.jobs.tests.job_types import make_job
from ami.main.models import Classification, Detection, Occurrence, Taxon
from ami.main.pictures import SMALL, crop_url

pytestmark = pytest.mark.django_db


def make_run(**fields: Any) -> Job:
    """A Job that renamed two occurrences from janthe to pronuba, and one to nothing."""
    job = make_job(status=JobState.SUCCESS, project=make_project(), **fields)
    former, present = make_taxon(name="Noctua janthe"), make_taxon(name="Noctua pronuba")
    rows = [make_occurrence() for _ in range(3)]
    for row in rows:
        make_detection(occurrence=row)
    Occurrence.objects.update(determination=former)
    with journaled(job):
        for row in rows[:2]:
            make_classification(detection=row.detections.get(), taxon=present)
            Occurrence.objects.filter(pk=row.pk).update(determination=present)
        Occurrence.objects.filter(pk=rows[2].pk).update(determination=None)
    return job


def listed(client: Client, job: Job | None = None, **filters: Any) -> list[tuple[str, int]]:
    own = {"job__id__exact": job.pk} if job else {}
    found = client.get(CHANGES, own | filters).context["cl"].result_list
    return [(change.model, change.object_id) for change in found]


def of(rows: Any) -> set[tuple[str, int]]:
    return {(row._meta.label_lower, row.pk) for row in rows}


def taxon(name: str) -> Taxon:
    return Taxon.objects.get(name=f"Noctua {name}")


def test_every_change_shows_its_crop_and_occurrence(admin_client: Client) -> None:
    job = make_run()
    page = admin_client.get(CHANGES, {"job__id__exact": job.pk}).text
    for detection in Detection.objects.all():
        assert f'src="{crop_url(detection.pk, SMALL)}"' in page
        assert f"/admin/main/occurrence/{detection.occurrence_id}/change/" in page
    named = Classification.objects.count() + Occurrence.objects.count()
    assert page.count('class="job-crop"') == named


def test_list_is_filtered_by_transition(admin_client: Client) -> None:
    job = make_run()
    former, present = taxon("janthe"), taxon("pronuba")
    renamed = of(Occurrence.objects.filter(determination=present))
    key = f"{former.pk}-{present.pk}"
    assert set(listed(admin_client, job, transition=key)) == renamed
    assert set(listed(admin_client, job, transition=f"{former.pk}-0")) == of(
        Occurrence.objects.filter(determination=None)
    )
    assert listed(admin_client, job, transition=f"{present.pk}-{former.pk}") == []
    for odd in ("x", "1-", "1-2-3", "-", f"{2**70}-1"):
        assert listed(admin_client, job, transition=odd) == []
    page = admin_client.get(CHANGES, {"job__id__exact": job.pk}).text
    assert "\u2068Noctua janthe\u2069 → \u2068Noctua pronuba\u2069 (2)" in page


def test_page_of_the_job_links_transitions_and_shows_their_crops(admin_client: Client) -> None:
    job = make_run()
    first, second = admin_client.get(page_of(job)).context["journal"]["rows"]
    for row, number in ((first, 2), (second, 1)):
        assert row["crops"].count("<img") == number
        assert admin_client.get(row["url"]).context["cl"].result_count == number


def test_crops_of_a_job_are_at_most_24(admin_client: Client) -> None:
    job = make_run()
    rows = [make_occurrence() for _ in range(40)]
    for row in rows:
        make_detection(occurrence=row)
    with journaled(job):
        Occurrence.objects.filter(pk__in=[row.pk for row in rows]).update(
            determination=taxon("pronuba")
        )
    shown = admin_client.get(page_of(job)).context["journal"]["rows"]
    assert sum(row["crops"].count("<img") for row in shown) == 24
    assert all(row["crops"] for row in shown)


def test_list_is_searched_by_taxon_and_by_id(admin_client: Client) -> None:
    job = make_run()
    assert set(listed(admin_client, job, q="PRONUBA")) == of(
        Occurrence.objects.filter(determination=taxon("pronuba"))
    )
    assert set(listed(admin_client, job, q="janthe")) == of(Occurrence.objects.all())
    assert listed(admin_client, job, q="nothing") == []
    classification = Classification.objects.first()
    assert classification
    assert ("main.classification", classification.pk) in listed(admin_client, q=classification.pk)
    assert listed(admin_client, q=2**70) == []


def test_changes_are_grouped_by_occurrence(admin_client: Client) -> None:
    job = make_run()
    assert set(listed(admin_client, job, occurrence="each")) == of(Occurrence.objects.all())
    occurrence = Occurrence.objects.filter(determination=taxon("pronuba")).first()
    assert occurrence
    found = listed(admin_client, job, occurrence=occurrence.pk)
    made = Classification.objects.filter(detection__occurrence=occurrence)
    assert set(found) == of([occurrence, *made])
    assert listed(admin_client, job, occurrence="x") == []


def test_rows_that_are_gone_keep_what_the_journal_knows(admin_client: Client) -> None:
    job = make_run()
    Occurrence.objects.all().delete()
    Classification.objects.all().delete()
    assert len(listed(admin_client, job)) == 5
    assert admin_client.get(page_of(job)).status_code == 200


def test_foreign_changes_are_found_by_no_filter(client: Client) -> None:
    job = make_run()
    sign_in(client, project=make_project())
    occurrence = Occurrence.objects.earliest("pk")
    key = f"{taxon('janthe').pk}-{taxon('pronuba').pk}"
    searches: list[dict[str, Any]]
    searches = [{"q": "pronuba"}, {"occurrence": occurrence.pk}, {"transition": key}]
    for filters in searches:
        response = client.get(CHANGES, {"job__id__exact": job.pk, **filters})
        assert response.context["cl"].result_count == 0
    assert f"Changes of Job {job.pk}" not in response.text


def test_export_tells_names_places_crops_options_and_run(admin_client: Client) -> None:
    job = make_run(name="=A run", params={"threshold": 0.5})
    response: Any = admin_client.get(page_of(job, "changes.csv"))
    lines = list(csv.DictReader(b"".join(response.streaming_content).decode().splitlines()))
    assert len(lines) == JobChange.objects.count()
    renamed = Occurrence.objects.filter(determination=taxon("pronuba")).earliest("pk")
    (line,) = (
        one
        for one in lines
        if (one["model"], one["object_id"]) == ("main.occurrence", str(renamed.pk))
    )
    detection = renamed.detections.get()
    assert (line["name_before"], line["name_after"]) == ("Noctua janthe", "Noctua pronuba")
    assert (line["detection"], line["occurrence"]) == (str(detection.pk), str(renamed.pk))
    assert line["crop"] == f"http://testserver{crop_url(detection.pk)}"
    assert (line["job"], line["run"], line["options"]) == (str(job.pk), "'=A run", "threshold: 0.5")
    (made, *_) = (one for one in lines if one["model"] == "main.classification")
    assert (made["name_before"], made["name_after"]) == ("", "Noctua pronuba")
    assert made["occurrence"]
