"""The limit of the probability that masking may remove."""

from typing import Any

import pytest

from ami.base.tests.snapshots import snapshot
from ami.main.models import Classification, Occurrence, TaxaList, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.tests.derived_reference import plain_softmax
from ami.ml.post_processing.tests.masking import classifier, mask, result, some
from ami.ml.post_processing.tests.vectors import make_source

__all__ = ["classifier", "some"]
pytestmark = pytest.mark.django_db


def test_rows_above_the_limit_of_removed_probability_keep_their_name(
    classifier: Algorithm, some: TaxaList, caplog: pytest.LogCaptureFixture
) -> None:
    c = Taxon.objects.get(name="c")
    above = make_source(classifier, logits=[0.0, 0.0, 9.0], taxon=c)
    below = make_source(classifier, logits=[2.0, 1.0, 2.5], taxon=c)
    limit = plain_softmax([2.0, 1.0, 2.5])[2]
    counts = mask(some, classifier, removed_mass_limit=limit + 1e-9)
    assert counts == {
        "classifications_checked": 2,
        "classifications_masked": 1,
        "taxa_changed": 1,
        "occurrences_updated": 1,
        "Skipped: removed probability is above the limit": 1,
    }
    assert f"above the limit. Ids: {above.pk}." in caplog.text
    assert str(result(below).taxon) == "a"
    above.refresh_from_db()
    assert (above.terminal, above.taxon) == (True, c)
    before = snapshot(Classification, Occurrence)
    mask(some, classifier, removed_mass_limit=limit + 1e-9)
    assert snapshot(Classification, Occurrence) == before


@pytest.mark.parametrize("is_edited", [False, True])
def test_result_above_the_limit_gives_way_to_its_source(
    classifier: Algorithm, some: TaxaList, is_edited: bool
) -> None:
    c = Taxon.objects.get(name="c")
    source = make_source(classifier, logits=[0.0, 1.0, 9.0], taxon=c)
    mask(some, classifier)
    former = result(source)
    if is_edited:
        some.taxa.remove(Taxon.objects.get(name="a"))
    counts = mask(some, classifier, removed_mass_limit=0.5)
    assert counts["Skipped: removed probability is above the limit"] == 1
    assert counts["occurrences_updated"] == 1
    source.refresh_from_db()
    former.refresh_from_db()
    assert (source.terminal, former.terminal) == (True, False)
    assert source.detection.occurrence
    assert source.detection.occurrence.determination == c
    before = snapshot(Classification, Occurrence)
    mask(some, classifier, removed_mass_limit=0.5)
    assert snapshot(Classification, Occurrence) == before
    assert mask(some, classifier)["classifications_masked"] == 1


def test_run_with_a_limit_has_something_to_do_after_one_without(
    classifier: Algorithm, some: TaxaList
) -> None:
    source = make_source(classifier, logits=[0.0, 1.0, 9.0])
    mask(some, classifier)
    options: dict[str, Any] = {"taxa_list_id": some.pk, "algorithm_id": classifier.pk}
    options["occurrence_id"] = source.detection.occurrence_id or 0
    assert ClassMaskingTask(**options).nothing_to_do()
    assert ClassMaskingTask(**options, removed_mass_limit=0.9999).nothing_to_do()
    assert ClassMaskingTask(**options, removed_mass_limit=0.5).nothing_to_do() is None
