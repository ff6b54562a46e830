"""What a search finds, and by which index."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.admin import BoundedPaginator
from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
)
from ami.base.tests.plans import indexes_of
from ami.jobs.models import Job
from ami.main.admin import search
from ami.main.models import Event, Occurrence, Taxon

pytestmark = pytest.mark.django_db


def found(client: Client, name: str, term: str, app: str = "main", **query: str) -> list[int]:
    response = client.get(reverse(f"admin:{app}_{name}_changelist"), {"q": term} | query)
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


def test_digits_find_exactly_the_row_of_that_id(admin_client: Client) -> None:
    occurrence = make_occurrence(pk=12)
    make_occurrence(pk=123)

    assert found(admin_client, "occurrence", "12") == [occurrence.pk]
    assert found(admin_client, "occurrence", " 12 ") == [occurrence.pk]
    assert found(admin_client, "occurrence", "\u0661\u0662") == [occurrence.pk]


def test_digits_are_an_id_even_where_text_is_searched(admin_client: Client) -> None:
    project = make_project(name="Night 7")

    assert found(admin_client, "project", "7777777") == []
    assert found(admin_client, "project", "Night 7") == [project.pk]


@pytest.mark.parametrize(
    "term", [str(2**63), "9" * 5000, "-1", "1.5", "abc", "\u00b2", '"', "1 2", "%", "\\"]
)
def test_what_is_no_id_finds_nothing_in_a_list_of_ids(admin_client: Client, term: str) -> None:
    make_occurrence(pk=1)

    assert found(admin_client, "occurrence", term) == []


def test_the_largest_id_is_no_error(admin_client: Client) -> None:
    assert found(admin_client, "occurrence", str(2**63 - 1)) == []


def test_autocomplete_finds_taxa_by_name_and_id(admin_client: Client) -> None:
    taxon = make_taxon(name="Actias luna")
    make_taxon(name="Noctua pronuba")

    def suggested(term: str) -> list[str]:
        response = admin_client.get(
            reverse("admin:autocomplete"),
            {
                "term": term,
                "app_label": "main",
                "model_name": "occurrence",
                "field_name": "determination",
            },
        )
        return [result["text"] for result in response.json()["results"]]

    assert suggested("luna") == ["Actias luna"]
    assert suggested(str(taxon.pk)) == ["Actias luna"]
    assert suggested("\x00") == []
    assert suggested("9" * 400) == []


def determined(taxon: Taxon) -> Occurrence:
    occurrence = make_occurrence()
    Occurrence.objects.filter(pk=occurrence.pk).update(determination=taxon)
    return occurrence


@pytest.fixture
def luna() -> Taxon:
    make_taxon(name="Noctua pronuba")
    return make_taxon(name="Actias luna", search_names=["Luna moth", "Papillon \u00e9toil\u00e9"])


@pytest.mark.parametrize(
    "term", ["luna", "ACTIAS", "actias LUNA", "tias lu", "moth", "\u00c9toil", '"Luna moth"']
)
def test_rows_are_found_by_the_name_of_their_taxon(
    admin_client: Client, luna: Taxon, term: str
) -> None:
    classification = make_classification(
        detection=make_detection(occurrence=make_occurrence()), taxon=luna
    )
    make_classification(detection=make_detection(occurrence=make_occurrence()))
    occurrence = classification.detection.occurrence
    assert occurrence is not None
    occurrence.save()

    assert found(admin_client, "taxon", term) == [luna.pk]
    assert found(admin_client, "occurrence", term) == [occurrence.pk]
    assert found(admin_client, "classification", term) == [classification.pk]


@pytest.mark.parametrize("term", ["{", "}", ",", '"', "'", "%", "_", "\\", "moth luna pronuba"])
def test_signs_of_arrays_and_patterns_find_no_taxon(
    admin_client: Client, luna: Taxon, term: str
) -> None:
    assert found(admin_client, "taxon", term) == []


def test_a_search_by_name_lists_taxon_by_taxon_the_newest_first(
    admin_client: Client, luna: Taxon
) -> None:
    other = make_taxon(name="Actias selene")
    oldest, older, newer, newest = (determined(taxon).pk for taxon in (luna, other, luna, other))

    assert found(admin_client, "occurrence", "actias") == [newest, older, newer, oldest]


@pytest.mark.parametrize(
    ("term", "names"),
    [
        ("site/2022", ["site/2022/img_7.JPG", "site/2022/img_8.jpg"]),
        ("SITE/2022/IMG_7", ["site/2022/img_7.JPG"]),
        ("IMG_", ["IMG_9.jpg", "site/2022/img_7.JPG", "site/2022/img_8.jpg"]),
        ("img_7.jpg", ["site/2022/img_7.JPG"]),
        ("2022", []),
        ("022/img", []),
        ("img%", []),
        ("imgx7", []),
    ],
)
def test_captures_and_detections_are_found_by_the_beginning_of_path_or_file_name(
    admin_client: Client, term: str, names: list[str]
) -> None:
    paths = ("site/2022/img_7.JPG", "site/2022/img_8.jpg", "IMG_9.jpg", "other/a.jpg")
    captures = {path: make_capture(path=path) for path in paths}
    detections = {path: make_detection(source_image=captures[path]) for path in paths}

    assert set(found(admin_client, "sourceimage", term)) == {captures[name].pk for name in names}
    assert set(found(admin_client, "detection", term)) == {detections[name].pk for name in names}


def test_capture_sets_deployments_events_and_jobs_are_found_by_name(admin_client: Client) -> None:
    deployment = make_deployment(name="Ridge trap")
    event = Event.objects.create(deployment=deployment, group_by="2022-06-20")
    Event.objects.create(deployment=make_deployment(), group_by="2022-06-21")
    capture_set = make_capture_set([make_capture()], name="Rainy nights")
    job = Job.objects.create(name="Masking on Rainy nights")

    assert found(admin_client, "deployment", "ridge") == [deployment.pk]
    assert found(admin_client, "event", "06-20") == [event.pk]
    assert found(admin_client, "event", "ridge 2022-") == [event.pk]
    assert found(admin_client, "sourceimagecollection", "rainy") == [capture_set.pk]
    assert found(admin_client, "job", "masking", app="jobs") == [job.pk]


def test_a_search_goes_with_the_filters(admin_client: Client) -> None:
    deployment = make_deployment()
    here = make_capture(path="a/img_1.jpg", deployment=deployment)
    make_capture(path="a/img_1.jpg")

    query = {"deployment__id__exact": str(deployment.pk)}
    assert found(admin_client, "sourceimage", "img", **query) == [here.pk]


def test_a_search_that_finds_too_many_names_or_paths_says_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_TAXA", 2)
    monkeypatch.setattr(search, "MOST_CAPTURES", 2)
    for number in range(3):
        determined(make_taxon(name=f"Actias {number}"))
        make_detection(source_image=make_capture(path=f"img_{number}.jpg"))

    for name, term, what in (
        ("occurrence", "actias", "More than 2 taxa contain \u201cactias\u201d in a name"),
        ("detection", "img", "More than 2 captures have a path beginning with \u201cimg\u201d"),
        ("sourceimage", "img", "More than 2 captures have a path beginning with \u201cimg\u201d"),
    ):
        response = admin_client.get(reverse(f"admin:main_{name}_changelist"), {"q": term})
        assert len(response.context["cl"].result_list) == 2
        assert f"{what}; the list uses 2 of them." in response.content.decode()


@pytest.mark.parametrize(
    ("name", "term", "indexes"),
    [
        ("occurrence", "luna", {"occurrence_determination_id"}),
        ("classification", "luna", {"classification_taxon_id"}),
        ("sourceimage", "img", {"capture_path_key", "capture_file_key"}),
        ("detection", "img", {"capture_path_key", "capture_file_key"}),
    ],
)
def test_a_search_goes_by_an_index(
    *,
    admin_client: Client,
    luna: Taxon,
    name: str,
    term: str,
    indexes: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BoundedPaginator, "LIMIT", 0)  # few rows would be sorted
    make_classification(
        taxon=luna,
        detection=make_detection(
            occurrence=determined(luna),
            source_image=make_capture(path="a/img.jpg"),
        ),
    )
    with CaptureQueriesContext(connection) as queries:
        assert len(found(admin_client, name, term)) == 1

    assert len(queries) <= 10
    # The few captures that were found are then read by their ids.
    table, by = (f"main_{name}", "") if term == "luna" else ("main_sourceimage", "UPPER(")
    sql = [query["sql"] for query in queries]
    statements = [text for text in sql if f'FROM "{table}"' in text and by in text]
    used = set().union(*map(indexes_of, statements))
    assert indexes <= used
    assert not {f"all of {table}", "Sort"} & used
