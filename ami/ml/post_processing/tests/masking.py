"""Maskings for tests, and their results."""

from typing import Any

import pytest

from ami.main.models import Classification, TaxaList, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.tests.vectors import make_classifier, make_list, make_species, run


def mask(taxa_list: TaxaList, algorithm: Algorithm, **options: Any) -> dict[str, int]:
    return run(ClassMaskingTask, taxa_list_id=taxa_list.pk, algorithm_id=algorithm.pk, **options)


def result(source: Classification) -> Classification:
    """The classification that superseded `source`."""
    return Classification.objects.get(applied_to=source, terminal=True)


@pytest.fixture
def classifier() -> Algorithm:
    """A classifier of three species a, b and c that exist as taxa."""
    make_species("a", "b", "c")
    return make_classifier("a", "b", "c", name="Moths", version=2)


@pytest.fixture
def some(classifier: Algorithm) -> TaxaList:
    """A taxa list with a and b only."""
    return make_list(*Taxon.objects.filter(name__in=["a", "b"]))
