import pytest
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import make_occurrence, make_project, make_taxon

pytestmark = pytest.mark.django_db


def found(client: Client, name: str, term: str) -> list[int]:
    response = client.get(reverse(f"admin:main_{name}_changelist"), {"q": term})
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
