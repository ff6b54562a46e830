from typing import Any

import pytest

from ami.base.tests.factories import make_taxon
from ami.ml.models import AlgorithmCategoryMap

pytestmark = pytest.mark.django_db


def test_classes_come_with_their_taxa_in_the_order_of_the_scores() -> None:
    luna = make_taxon(name="Actias luna")
    accepted = make_taxon(name="Noctua pronuba", gbif_taxon_key=7)
    make_taxon(name="Noctua innuba", synonym_of=accepted)
    searched = make_taxon(name="Autographa gamma", search_names=["Silver Y"])
    data = [
        {"index": 2, "label": "Silver Y"},
        {"index": 0, "label": "Actias luna", "taxon_rank": "SPECIES"},
        {"index": 1, "label": "Noctua innuba"},
        {"index": 3, "label": "pronuba", "gbif_key": "7.0"},
        {"index": 4, "label": "nobody"},
    ]
    category_map = AlgorithmCategoryMap.objects.create(data=data)
    classes = category_map.with_taxa()
    assert [one["index"] for one in classes] == [0, 1, 2, 3, 4]
    assert [one["taxon"] for one in classes] == [luna, accepted, searched, accepted, None]
    assert classes[0]["taxon_rank"] == "SPECIES"
    assert "taxon" not in category_map.data[0]


def test_map_of_labels_alone_has_classes_too() -> None:
    luna = make_taxon(name="Actias luna")
    category_map = AlgorithmCategoryMap.objects.create(labels=["nobody", "Actias luna"])
    assert category_map.with_taxa() == [
        {"index": 0, "label": "nobody", "taxon": None},
        {"index": 1, "label": "Actias luna", "taxon": luna},
    ]
    assert AlgorithmCategoryMap.objects.create().with_taxa() == []


@pytest.mark.parametrize("size", [3, 300])
def test_queries_do_not_grow_with_the_labels(size: int, django_assert_num_queries: Any) -> None:
    names = [make_taxon().name for _ in range(size)]
    category_map = AlgorithmCategoryMap.objects.create(labels=names)
    with django_assert_num_queries(4):
        assert [one["taxon"].name for one in category_map.with_taxa()] == names
