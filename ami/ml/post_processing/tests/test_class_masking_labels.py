"""Which classes a taxa list keeps."""

from typing import Any

import pytest

from ami.base.tests.factories import make_taxon
from ami.base.tests.snapshots import snapshot
from ami.jobs.states import JobFailedError
from ami.main.models import Classification, Occurrence, TaxaList, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.tests.masking import classifier, mask, result, some
from ami.ml.post_processing.tests.vectors import (
    make_classifier,
    make_list,
    make_map,
    make_source,
    make_species,
)

__all__ = ["classifier", "some"]
pytestmark = pytest.mark.django_db


def test_higher_ranks_on_the_list_keep_what_lies_under_them() -> None:
    family = make_taxon(name="family", rank="FAMILY")
    genus = make_taxon(name="genus", rank="GENUS", parent=family)
    make_species("a", parent=genus)
    make_species("b", parent=family)
    make_species("c")
    classifier = make_classifier("a", "b", "c", "genus")
    source = make_source(classifier, logits=[0.0, 0.0, 0.0, 0.0])
    mask(make_list(family), classifier)
    assert result(source).scores == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])


@pytest.mark.parametrize("listed", ["accepted", "old"])
def test_synonym_stands_for_its_accepted_taxon(listed: str) -> None:
    accepted = make_taxon(name="accepted")
    middle = make_taxon(name="middle", synonym_of=accepted)
    make_taxon(name="old", synonym_of=middle)
    make_taxon(name="other")
    classifier = make_classifier("old", "other")
    source = make_source(classifier, logits=[0.0, 5.0])
    mask(make_list(Taxon.objects.get(name=listed)), classifier)
    assert result(source).taxon == accepted


def test_labels_are_found_by_name_then_key_then_search_name() -> None:
    by_name = make_taxon(name="label")
    by_key = make_taxon(name="a", gbif_taxon_key=7, search_names=["other"])
    by_search = make_taxon(name="b", search_names=["label", "spelled otherwise"])
    make_taxon(name="younger", gbif_taxon_key=7, search_names=["spelled otherwise"])
    classifier = make_classifier(
        {"label": "label", "gbif_key": 7},
        {"label": "keyed", "gbif_key": "7"},
        {"label": "spelled otherwise", "gbif_key": "none"},
        {"label": "nobody", "gbif_key": 8},
    )
    rest = make_list(by_name, by_key, by_search)
    taxa = []
    for place in range(3):
        source = make_source(classifier, logits=[9.0 * (place == n) for n in range(4)])
        mask(rest, classifier)
        taxa.append(result(source).taxon)
    assert taxa == [by_name, by_key, by_search]


@pytest.mark.parametrize("key", [7, "7", 7.0, "7.0"])
def test_key_is_found_however_it_is_written(key: Any) -> None:
    keyed = make_taxon(gbif_taxon_key=7)
    classifier = make_classifier({"label": "keyed", "gbif_key": key}, "nobody")
    source = make_source(classifier, logits=[0.0, 0.0])
    mask(make_list(keyed), classifier)
    assert result(source).taxon == keyed


def test_accepted_taxon_comes_before_a_synonym_of_the_same_key() -> None:
    young = make_taxon(name="young")
    make_taxon(name="old", gbif_taxon_key=7, synonym_of=young)
    accepted = make_taxon(name="accepted", gbif_taxon_key=7)
    classifier = make_classifier({"label": "keyed", "gbif_key": 7}, "nobody")
    source = make_source(classifier, logits=[0.0, 0.0])
    mask(make_list(accepted), classifier)
    assert result(source).taxon == accepted


def test_loops_of_parents_and_synonyms_end() -> None:
    first, second = make_species("first", "second")
    Taxon.objects.filter(pk=first.pk).update(parent=second, synonym_of=second)
    Taxon.objects.filter(pk=second.pk).update(parent=first, synonym_of=first)
    classifier = make_classifier("first", "nobody")
    source = make_source(classifier, logits=[0.0, 0.0])
    mask(make_list(first), classifier)
    assert result(source).taxon == first


def test_label_without_a_taxon_is_masked_counted_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (known,) = make_species("known")
    classifier = make_classifier("known", "nobody", "nothing")
    source = make_source(classifier, logits=[0.0, 9.0, 9.0])
    assert mask(make_list(known), classifier)["labels_unresolved"] == 2
    assert "2 of 3 labels stand for no taxon: nobody, nothing." in caplog.text
    assert result(source).scores == [1.0, 0.0, 0.0]


def test_blank_labels_are_quoted(caplog: pytest.LogCaptureFixture) -> None:
    (known,) = make_species("known")
    classifier = make_classifier("known", "", " ", {"label": None})
    source = make_source(classifier, logits=[0.0, 9.0, 9.0, 9.0])
    assert mask(make_list(known), classifier)["labels_unresolved"] == 3
    assert "3 of 4 labels stand for no taxon: '', ' ', None." in caplog.text
    assert result(source).scores == [1.0, 0.0, 0.0, 0.0]


def test_nothing_is_written_where_no_class_stays(classifier: Algorithm) -> None:
    make_source(classifier, logits=[1.0, 2.0, 3.0])
    taxa_list = make_list(make_taxon(), name="Elsewhere")
    before = snapshot(Classification, Occurrence, Algorithm)
    with pytest.raises(JobFailedError) as failure:
        mask(taxa_list, classifier)
    assert str(failure.value) == (
        f"Taxa list {taxa_list.pk} (Elsewhere) holds no class of Moths v2: add taxa to it, or "
        "choose another list."
    )
    assert snapshot(Classification, Occurrence, Algorithm) == before


def test_row_takes_the_category_map_of_its_own(classifier: Algorithm, some: TaxaList) -> None:
    source = make_source(classifier, logits=[1.0, 2.0], category_map=make_map("c", "a"))
    mask(some, classifier)
    new = result(source)
    assert (str(new.taxon), new.category_map) == ("a", source.category_map)
