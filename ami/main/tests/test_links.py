"""Counts link to their rows, and taxa, lists and algorithms to their occurrences."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.tests.factories import (
    make_algorithm,
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_member,
    make_occurrence,
    make_taxon,
)
from ami.main.counts import refresh_counts
from ami.main.models import Event, Identification, Occurrence, Project, TaxaList
from ami.main.pictures import SMALL, crop_url

pytestmark = pytest.mark.django_db


@pytest.fixture
def occurrence() -> Occurrence:
    """Create an occurrence with two detections, in a project with a second deployment."""
    deployment = make_deployment()
    make_deployment(project=deployment.project)
    night = Event.objects.create(
        deployment=deployment, project=deployment.project, group_by="2022-06-20"
    )
    occurrence = make_occurrence(deployment=deployment, event=night)
    for _ in range(2):
        capture = make_capture(deployment=deployment, event=night)
        detection = make_detection(source_image=capture, occurrence=occurrence)
    make_classification(detection=detection, algorithm=make_algorithm())
    occurrence.save()
    refresh_counts()
    return occurrence


def links(text: str) -> dict[str, int]:
    """Return the numbers on a page that are links, by their address."""
    found = re.findall(r'<a href="(/admin/main/\w+/\?[^"]+)">(\d+)</a>', text)
    return {url: int(number) for url, number in found}


@pytest.mark.parametrize("of", ["project", "deployment", "event"])
def test_counts_link_to_as_many_rows(admin_client: Client, occurrence: Occurrence, of: str) -> None:
    row = getattr(occurrence, of)
    pages = [
        reverse(f"admin:main_{of}_changelist") + f"?q={row.pk}",
        reverse(f"admin:main_{of}_change", args=[row.pk]),
    ]
    for page in pages:
        counts = links(admin_client.get(page).text)
        names = {url.split("/")[3] for url in counts}
        assert {"sourceimage", "detection", "occurrence"} <= names
        assert {1, 2} <= set(counts.values())
        for url, number in counts.items():
            assert len(listed(admin_client, url)) == number, url


def listed(client: Client, url: str) -> list[Any]:
    return list(client.get(url).context["cl"].result_list)


def test_projects_are_counted_in_few_queries(admin_client: Client, occurrence: Occurrence) -> None:
    url = reverse("admin:main_project_changelist")
    with CaptureQueriesContext(connection) as few:
        admin_client.get(url)
    for _ in range(5):
        make_deployment()
    with CaptureQueriesContext(connection) as many:
        admin_client.get(url)
    assert len(many) == len(few) <= 10


def test_taxa_lists_and_algorithms_link_to_their_occurrences(
    admin_client: Client, occurrence: Occurrence
) -> None:
    taxon, other = occurrence.determination, make_taxon()
    make_occurrence(determination=other)
    taxa_list = TaxaList.objects.create(name="Regional")
    assert taxon is not None
    taxa_list.taxa.add(taxon)
    classification = occurrence.best_prediction
    assert classification is not None
    for row in (taxon, taxa_list, classification.algorithm):
        name = f"admin:{row._meta.app_label}_{row._meta.model_name}"  # type: ignore[union-attr]
        for page in (
            reverse(f"{name}_changelist"),
            reverse(f"{name}_change", args=[row.pk]),  # type: ignore[union-attr]
        ):
            text = admin_client.get(page).text
            urls = re.findall(r'<a href="(/admin/main/occurrence/\?[^"]+)">Occurrences</a>', text)
            assert occurrence in [one for url in urls for one in listed(admin_client, url)]
            assert len(listed(admin_client, urls[-1])) == 1


@pytest.mark.parametrize("name", ["algorithm", "taxa_list", "run"])
@pytest.mark.parametrize("value", ["x", "9" * 30, "-1", "\x00", "999999"])
def test_an_unknown_id_finds_nothing(
    admin_client: Client, occurrence: Occurrence, name: str, value: str
) -> None:
    response = admin_client.get(reverse("admin:main_occurrence_changelist"), {name: value})
    assert response.status_code == 200
    assert not response.context["cl"].result_list


def test_a_foreign_list_finds_nothing(client: Client, occurrence: Occurrence) -> None:
    foreign = TaxaList.objects.create(name="Secret")
    foreign.projects.add(Project.objects.create(name="Foreign"))
    assert occurrence.determination
    assert occurrence.project
    foreign.taxa.add(occurrence.determination)
    client.force_login(make_member(occurrence.project))
    url = reverse("admin:main_occurrence_changelist")
    assert len(listed(client, url)) == 1
    assert listed(client, f"{url}?taxa_list={foreign.pk}") == []


@pytest.mark.parametrize("name", ["occurrence", "detection", "classification", "identification"])
def test_lists_show_small_crops(admin_client: Client, occurrence: Occurrence, name: str) -> None:
    Identification.objects.create(occurrence=occurrence, taxon=occurrence.determination)
    make_occurrence()  # without detections
    text = admin_client.get(reverse(f"admin:main_{name}_changelist")).text
    shown = re.findall(r'<img class="thumbnail" src="([^"]+)" [^>]*loading="lazy">', text)
    first, last = (crop_url(one.pk, SMALL) for one in occurrence.detections.order_by("pk"))
    expected = {"detection": [last, first], "classification": [last]}
    assert shown == expected.get(name, [first])
