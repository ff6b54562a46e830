"""Filters by typed values (ranges, days, runs), and by whether an occurrence is identified."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.admin import BoundedPaginator
from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_member,
    make_occurrence,
    make_project,
    make_taxon,
)
from ami.jobs.models import Job
from ami.main.models import Event, Identification, Occurrence

pytestmark = pytest.mark.django_db


def found(client: Client, name: str, **query: Any) -> list[int]:
    response = client.get(reverse(f"admin:main_{name}_changelist"), query)
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


def test_occurrences_are_cut_to_a_range_of_scores(admin_client: Client) -> None:
    low, middle, high = (make_occurrence() for _ in range(3))
    for occurrence, score in ((low, 0.1), (middle, 0.5), (high, 0.9)):
        Occurrence.objects.filter(pk=occurrence.pk).update(determination_score=score)
    lowest, highest = "determination_score__gte", "determination_score__lte"

    assert found(admin_client, "occurrence", **{lowest: "0.5"}) == [high.pk, middle.pk]
    assert found(admin_client, "occurrence", **{highest: " 0.5 "}) == [middle.pk, low.pk]
    assert found(admin_client, "occurrence", **{lowest: "0.2", highest: ".6"}) == [middle.pk]
    assert len(found(admin_client, "occurrence", **{lowest: "", highest: ""})) == 3


def test_classifications_and_detections_are_cut_to_scores_and_days(admin_client: Client) -> None:
    early = make_classification(score=0.2, timestamp=NIGHT)
    late = make_classification(score=0.8, timestamp=NIGHT + timedelta(days=1))
    detection = make_detection(detection_score=0.7, timestamp=NIGHT + timedelta(days=9))
    day = NIGHT.date()

    assert found(admin_client, "classification", score__gte=0.5) == [late.pk]
    assert found(admin_client, "classification", timestamp__lt=day) == [early.pk]
    assert found(admin_client, "classification", timestamp__gte=day + timedelta(1)) == [late.pk]
    assert found(admin_client, "detection", detection_score__gte=0.5) == [detection.pk]
    assert found(admin_client, "detection", timestamp__gte=day + timedelta(9)) == [detection.pk]


def test_detections_and_classifications_are_cut_to_a_deployment(admin_client: Client) -> None:
    deployment = make_deployment(name="Ridge trap")
    detection = make_detection(source_image=make_capture(deployment=deployment))
    classification = make_classification(detection=detection)
    make_classification()

    for name, lookup, pk in (
        ("detection", "source_image__deployment__id__exact", detection.pk),
        ("classification", "detection__source_image__deployment__id__exact", classification.pk),
    ):
        with CaptureQueriesContext(connection) as queries:
            assert found(admin_client, name, **{lookup: deployment.pk}) == [pk]
        assert len(queries) <= 10
        page = admin_client.get(reverse(f"admin:main_{name}_changelist"), {lookup: deployment.pk})
        assert f'<option value="{deployment.pk}" selected>Ridge trap</option>' in (
            page.content.decode()
        )


def test_captures_are_cut_to_days_both_within(admin_client: Client) -> None:
    captures = [make_capture(timestamp=NIGHT + timedelta(days=days)) for days in range(3)]
    day = NIGHT.date() + timedelta(1)

    query = {"timestamp__gte": day, "timestamp__lt": day}
    assert found(admin_client, "sourceimage", **query) == [captures[1].pk]


def test_occurrences_are_cut_to_nights_both_within(admin_client: Client) -> None:
    deployment = make_deployment()
    nights = [
        Event.objects.create(deployment=deployment, group_by=f"2022-06-{day}")
        for day in (19, 20, 21)
    ]
    rows = [make_occurrence(event=night) for night in nights]
    make_occurrence()

    assert found(admin_client, "occurrence", night_from="2022-06-20") == [rows[2].pk, rows[1].pk]
    query = {"night_from": "2022-06-20", "night_to": "2022-06-20"}
    assert found(admin_client, "occurrence", **query) == [rows[1].pk]


def test_occurrences_are_cut_to_those_that_a_person_identified(admin_client: Client) -> None:
    by_person, withdrawn, by_nobody = (make_occurrence() for _ in range(3))
    for occurrence in (by_person, withdrawn):
        Identification.objects.create(
            occurrence=occurrence, taxon=make_taxon(), withdrawn=occurrence == withdrawn
        )

    assert found(admin_client, "occurrence", identified="yes") == [by_person.pk]
    assert found(admin_client, "occurrence", identified="no") == [by_nobody.pk, withdrawn.pk]


def test_occurrences_are_cut_to_those_that_a_run_classified(admin_client: Client) -> None:
    job = Job.objects.create(name="Masking")
    occurrence = make_occurrence()
    make_classification(job=job, detection=make_detection(occurrence=occurrence))
    make_classification(detection=make_detection(occurrence=make_occurrence()))

    assert found(admin_client, "occurrence", run=job.pk) == [occurrence.pk]
    assert found(admin_client, "occurrence", run="0") == []


@pytest.mark.parametrize(
    "odd", ["x", "\x00", "nan", "inf", "9" * 400, "2022-13-40", "9999-12-31", "²"]
)
def test_what_cannot_be_in_a_range_finds_nothing_and_stays_typed(
    admin_client: Client, odd: str
) -> None:
    make_occurrence()
    for name in ("determination_score__gte", "night_from", "night_to", "run", "identified"):
        assert found(admin_client, "occurrence", **{name: odd}) == []
    make_capture()
    assert found(admin_client, "sourceimage", timestamp__lt=odd) == []


def test_a_range_keeps_the_other_filters_and_can_be_cleared(admin_client: Client) -> None:
    query = {"identified": "no", "determination_score__gte": "0.5", "night_from": "2022-06-20"}

    response = admin_client.get(reverse("admin:main_occurrence_changelist"), query)
    text = response.content.decode()

    assert '<a href="?identified=no&amp;night_from=2022-06-20">Clear</a>' in text
    assert '<a href="?determination_score__gte=0.5&amp;identified=no">Clear</a>' in text
    assert 'aria-label="date of the night, from"' in text
    assert 'value="2022-06-20"' in text


def test_few_rows_are_sorted_and_many_read_from_the_newest(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL would search from the newest row, although the few matches are the oldest."""
    newest_first = [make_occurrence().pk for _ in range(3)][::-1]
    sorted_, by_index = '("main_occurrence"."id" + 0) DESC', '"main_occurrence"."id" DESC'

    for limit, order in ((3, sorted_), (2, by_index)):
        monkeypatch.setattr(BoundedPaginator, "LIMIT", limit)
        with CaptureQueriesContext(connection) as queries:
            assert found(admin_client, "occurrence") == newest_first
        ids = 'SELECT "main_occurrence"."id" AS "pk"'
        (pages,) = [query["sql"] for query in queries if query["sql"].startswith(ids)]
        assert f"ORDER BY {order}" in pages


def test_related_row_is_found_by_name_without_scripts(admin_client: Client) -> None:
    taxon, other = make_taxon(name="Zale lunata"), make_taxon(name="Zale lunatana")
    first, second = make_occurrence(), make_occurrence()
    Occurrence.objects.filter(pk=first.pk).update(determination=taxon)
    Occurrence.objects.filter(pk=second.pk).update(determination=other)
    lookup = "determination__id__exact"

    for typed in ("zale lunata", "Zale lunata ", str(taxon.pk)):
        assert found(admin_client, "occurrence", **{lookup: typed}) == [first.pk]
    assert found(admin_client, "occurrence", **{lookup: "Zale lunatan"}) == [second.pk]
    for typed in ("Zale nova", "\x00", "x" * 5_000):
        assert found(admin_client, "occurrence", **{lookup: typed}) == []
    page = admin_client.get("/admin/main/occurrence/", {lookup: ["", "Zale lunata"]})
    field = f'name="{lookup}" placeholder="id or name" value="Zale lunata"'
    assert field in page.text
    assert f'<option value="{taxon.pk}" selected>Zale lunata</option>' in page.text


def test_foreign_project_is_not_found_by_name(client: Client) -> None:
    own, foreign = make_project(name="Own"), make_project(name="Foreign")
    make_occurrence(deployment=make_deployment(project=foreign))
    mine = make_occurrence(deployment=make_deployment(project=own))
    client.force_login(make_member(own))
    assert found(client, "occurrence", project__id__exact="own") == [mine.pk]
    for typed in ("Foreign", str(foreign.pk), "Unknown"):
        assert found(client, "occurrence", project__id__exact=typed) == []
