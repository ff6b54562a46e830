"""Which taxon a written name stands for."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from ami.base.tests.factories import make_taxon
from ami.main.models import Taxon, TaxonRank
from ami.main.models.taxon import START
from ami.main.names import tidy
from ami.main.resolver import resolve_names, start_of

pytestmark = pytest.mark.django_db


def resolve(name: str, key: int | None = None) -> Taxon | None:
    found = resolve_names([name], {} if key is None else {name: key})
    return Taxon.objects.filter(pk__in=found.taxa.values()).first()


@pytest.mark.parametrize(
    "written",
    [
        "Noctua pronuba",
        "noctua_pronuba",
        "NOCTUA PRONUBA",
        "Noctua pronuba (Linnaeus, 1758)",
        "Noctua pronuba Linnaeus",
        "Noctua\xa0 pronuba",
    ],
)
@pytest.mark.parametrize(
    "stored", ["Noctua pronuba", "Noctua_pronuba", "Noctua pronuba (Linnaeus, 1758)"]
)
def test_name_is_found_in_its_normal_form(written: str, stored: str) -> None:
    assert resolve(written) is None
    taxon = make_taxon(name=stored)

    assert resolve(written) == taxon


def test_name_as_it_is_written_comes_before_its_normal_form() -> None:
    make_taxon(name="Noctua pronuba")
    taxon = make_taxon(name="NOCTUA PRONUBA")

    assert resolve("NOCTUA PRONUBA") == taxon


def test_order_is_name_then_key_then_search_name() -> None:
    searched = make_taxon(name="Third", search_names=["first"])
    assert resolve("First") == searched
    keyed = make_taxon(name="Second", gbif_taxon_key=7)
    assert resolve("First", 7) == keyed
    named = make_taxon(name="FIRST")
    assert resolve("First", 7) == named


def test_search_name_as_it_is_written_comes_before_its_normal_form() -> None:
    make_taxon(name="Noctua comes", search_names=["silver y"])
    taxon = make_taxon(name="Noctua pronuba", search_names=["Silver Y"])

    assert resolve("Silver Y") == taxon


def test_synonym_stands_for_its_accepted_taxon() -> None:
    accepted = make_taxon(name="Noctua pronuba")
    synonym = make_taxon(name="Noctua innuba", synonym_of=accepted)

    found = resolve_names(["noctua innuba"])

    assert found.named == {"noctua innuba": synonym.pk}
    assert found.taxa == {"noctua innuba": accepted.pk}


@pytest.mark.parametrize("written", ["Noctua sp.", "Noctua cf. pronuba", "Noctua pronuba agg."])
def test_open_name_stands_for_its_genus(written: str) -> None:
    make_taxon(name="Noctua pronuba")
    assert resolve(written) is None
    genus = make_taxon(name="Noctua", rank=TaxonRank.GENUS)
    assert resolve(written) == genus
    taxon = make_taxon(name=written, rank=TaxonRank.UNKNOWN)
    assert resolve(written) == taxon


def test_open_name_of_the_database_is_not_its_genus() -> None:
    make_taxon(name="Noctua sp.", rank=TaxonRank.UNKNOWN)

    assert resolve("NOCTUA") is None


def test_words_without_a_name_are_found_only_as_they_are() -> None:
    taxon = make_taxon(name="Unknown moth", rank=TaxonRank.UNKNOWN)

    assert resolve("unknown_moth") == taxon
    assert resolve("unknown") is None
    assert resolve("") is None


def test_names_without_letters_of_a_to_z_are_found() -> None:
    taxon = make_taxon(name="Ночница")

    assert resolve("_Ночница ") == taxon


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_database_reads_the_same_first_letters(names: list[str]) -> None:
    names = [tidy(name) for name in names]
    with connection.cursor() as cursor:
        query = "SELECT {} FROM unnest(%s::text[]) WITH ORDINALITY AS n (name, i) ORDER BY i"
        cursor.execute(query.format(START.format("name")), [names])
        assert [start for (start,) in cursor.fetchall()] == [start_of(name) for name in names]


@pytest.mark.parametrize("size", [2, 200])
def test_queries_do_not_grow_with_the_names(size: int, django_assert_num_queries: Any) -> None:
    names = [f"noctua_{make_taxon().name}" for _ in range(size)]
    with django_assert_num_queries(4):
        resolve_names(names, dict.fromkeys(names, 7))


def test_rank_must_be_lower_than_that_of_the_parent() -> None:
    species = make_taxon(name="Noctua pronuba")
    Taxon(name="Noctua pronuba hoegei", rank="SUBSPECIES", parent=species).clean()
    Taxon(name="Noctua pronuba agg.", rank="UNKNOWN", parent=species).clean()

    with pytest.raises(ValidationError, match="Noctua pronuba, a taxon of rank SPECIES, cannot be"):
        Taxon(name="Noctua", rank="GENUS", parent=species).clean()
