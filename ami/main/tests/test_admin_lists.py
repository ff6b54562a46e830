"""The lists stay fast: few queries, no full count, no vectors, no large dropdowns."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.admin import BoundedPaginator
from ami.base.tests.factories import (
    make_algorithm,
    make_capture,
    make_capture_set,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.main.models import (
    Classification,
    Detection,
    Occurrence,
    SourceImage,
    SourceImageCollection,
)

pytestmark = pytest.mark.django_db

LISTS = ["sourceimage", "detection", "classification", "occurrence", "sourceimagecollection"]
MODELS: dict[str, type[Model]] = {
    "sourceimage": SourceImage,
    "detection": Detection,
    "classification": Classification,
    "occurrence": Occurrence,
    "sourceimagecollection": SourceImageCollection,
}


def list_of(name: str) -> str:
    return reverse(f"admin:main_{name}_changelist")


def copy_rows(row: Model, *, times: int) -> None:
    """Insert copies of the row, with new values in unique columns."""
    table = row._meta.db_table
    columns = [field.column for field in row._meta.local_concrete_fields if not field.primary_key]
    quoted = ", ".join(f'"{column}"' for column in columns)
    values = quoted.replace('"path"', "path || n")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({quoted}) SELECT {values} FROM {table}, "
            f"generate_series(1, {times}) n WHERE id = {row.pk}"
        )


@pytest.fixture
def rows() -> dict[str, Model]:
    """Create one row of each model, with all values that its list shows."""
    capture = make_capture()
    occurrence = make_occurrence(deployment=capture.deployment)
    detection = make_detection(
        source_image=capture, occurrence=occurrence, similarity_vector=[0.5] * 16
    )
    classification = make_classification(
        detection=detection,
        algorithm=make_algorithm(),
        scores=[0.125] * 8,
        logits=[0.25] * 4,
    )
    occurrence.save()
    return {
        "sourceimage": capture,
        "detection": detection,
        "classification": classification,
        "occurrence": occurrence,
        "sourceimagecollection": make_capture_set([capture]),
    }


@pytest.mark.parametrize("page", [1, 100])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_takes_at_most_ten_queries_on_any_page(
    admin_client: Client, rows: dict[str, Model], name: str, page: int
) -> None:
    copy_rows(rows[name], times=BoundedPaginator.LIMIT + 5)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = admin_client.get(list_of(name), {"p": page})

    assert len(response.context["cl"].result_list) == 100
    assert len(queries) <= 10
    assert "More than 10000" in response.content.decode()


def test_counting_stops_at_the_limit(rows: dict[str, Model], monkeypatch: Any) -> None:
    monkeypatch.setattr(BoundedPaginator, "LIMIT", 10)
    copy_rows(rows["occurrence"], times=20)

    paginator = BoundedPaginator(Occurrence.objects.order_by("-id"), 5)

    with CaptureQueriesContext(connection) as queries:
        assert paginator.count == 10
        assert paginator.has_more
    assert len(queries) == 1
    assert "LIMIT 11" in queries[0]["sql"]


def test_a_list_that_does_not_know_its_size_does_not_offer_to_select_all(
    admin_client: Client, rows: dict[str, Model], monkeypatch: Any
) -> None:
    copy_rows(rows["occurrence"], times=200)
    assert "Select all 201" in admin_client.get(list_of("occurrence")).content.decode()

    monkeypatch.setattr(BoundedPaginator, "LIMIT", 150)

    assert "Select all 1" not in admin_client.get(list_of("occurrence")).content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_lists_show_the_newest_first_and_never_read_vectors(
    admin_client: Client, rows: dict[str, Model], name: str
) -> None:
    copy_rows(rows[name], times=3)

    with CaptureQueriesContext(connection) as queries:
        response = admin_client.get(list_of(name))

    ids = [row.pk for row in response.context["cl"].result_list]
    assert ids == sorted(ids, reverse=True)
    for query in queries:
        for column in ("scores", "logits", "similarity_vector", "search_names", "progress"):
            selected = query["sql"].partition(" FROM ")[0]
            assert not re.search(rf'(?<!CARDINALITY\()"\w+"\."{column}"', selected)


@pytest.mark.parametrize("name", LISTS)
def test_the_queries_of_a_list_do_not_grow_with_its_rows(
    admin_client: Client, rows: dict[str, Model], name: str
) -> None:
    with CaptureQueriesContext(connection) as few:
        admin_client.get(list_of(name))
    copy_rows(rows[name], times=50)

    with CaptureQueriesContext(connection) as many:
        admin_client.get(list_of(name))

    assert len(many) == len(few)


def test_public_counts_are_annotated_one_by_one(rows: dict[str, Model], rf: RequestFactory) -> None:
    copy_rows(rows["detection"], times=2)
    copy_rows(rows["classification"], times=1)
    empty = make_occurrence()

    occurrences = admin.site._registry[Occurrence].get_queryset(rf.get("/"))
    detections = admin.site._registry[Detection].get_queryset(rf.get("/"))

    assert occurrences.get(pk=rows["occurrence"].pk).detections_count == 3
    assert occurrences.get(pk=empty.pk).detections_count == 0
    assert detections.get(pk=rows["detection"].pk).classifications_count == 2


@pytest.mark.parametrize("name", LISTS)
def test_no_page_lists_a_related_table(
    admin_client: Client, rows: dict[str, Model], name: str
) -> None:
    stranger = make_taxon(name="Nowhere to be seen")
    make_occurrence()
    pages = [list_of(name), reverse(f"admin:main_{name}_add")]
    pages.append(reverse(f"admin:main_{name}_change", args=[rows[name].pk]))

    for page in pages:
        text = admin_client.get(page).content.decode()
        assert stranger.name not in text
        assert "<option" not in text or text.count("<option") < 15


@pytest.mark.parametrize(
    ("name", "lookup", "target"),
    [
        ("detection", "occurrence__id__exact", "occurrence"),
        ("detection", "source_image__id__exact", "sourceimage"),
        ("classification", "detection__id__exact", "detection"),
        ("classification", "detection__occurrence__id__exact", "occurrence"),
        ("sourceimage", "collections__id__exact", "sourceimagecollection"),
    ],
)
def test_lists_are_cut_to_the_rows_of_another(
    admin_client: Client, rows: dict[str, Model], name: str, lookup: str, target: str
) -> None:
    make_classification()

    response = admin_client.get(list_of(name), {lookup: rows[target].pk})

    assert [row.pk for row in response.context["cl"].result_list] == [rows[name].pk]
    assert f'value="{rows[target].pk}"' in response.content.decode()


@pytest.mark.parametrize("value", ["x", "9" * 30, "-1", "\u00b2", "\x00"])
@pytest.mark.parametrize("lookup", ["occurrence__id__exact", "source_image__id__exact"])
def test_a_filter_for_no_id_finds_nothing(
    admin_client: Client, rows: dict[str, Model], lookup: str, value: str
) -> None:
    response = admin_client.get(list_of("detection"), {lookup: value})

    assert response.status_code == 200
    assert not response.context["cl"].result_list


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "query", [{"rank__exact": "\x00"}, {"id__regex": "("}, {"created_at__year": "99999"}]
)
def test_a_list_answers_odd_lookups_with_its_first_page(
    admin_client: Client, query: dict[str, str]
) -> None:
    response = admin_client.get(list_of("taxon"), query, follow=True)

    assert response.redirect_chain == [(f"{list_of('taxon')}?e=1", 302)]
    assert response.status_code == 200


def test_an_empty_filter_is_none(admin_client: Client, rows: dict[str, Model]) -> None:
    response = admin_client.get(list_of("detection"), {"occurrence__id__exact": ""})

    assert len(response.context["cl"].result_list) == 1


def test_a_filter_keeps_the_other_one_and_can_be_cleared(
    admin_client: Client, rows: dict[str, Model]
) -> None:
    taxon = str(Classification.objects.get().taxon_id)
    query = {"taxon__id__exact": taxon, "terminal__exact": "1"}

    text = admin_client.get(list_of("classification"), query).content.decode()

    assert '<input type="hidden" name="terminal__exact" value="1">' in text
    assert '<a href="?terminal__exact=1">Clear</a>' in text
    assert f'<option value="{taxon}" selected>' in text


@pytest.mark.parametrize("name", LISTS)
def test_filters_never_count_what_they_would_find(
    admin_client: Client, rows: dict[str, Model], name: str
) -> None:
    response = admin_client.get(list_of(name), {"_facets": "True"}, follow=True)

    assert response.status_code == 200
    assert "Show counts" not in response.content.decode()


def test_search_without_result_says_so(admin_client: Client) -> None:
    text = admin_client.get(list_of("occurrence"), {"q": "7"}).text
    assert "No occurrences match. Remove a filter, or search for something else." in text
