"""The pages on which a person adds and changes a classification."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.tests.factories import (
    make_algorithm,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.main.models import Classification, Occurrence
from ami.ml.models import AlgorithmCategoryMap

pytestmark = pytest.mark.django_db


def change_url(classification: Classification) -> str:
    return reverse("admin:main_classification_change", args=[classification.pk])


@pytest.fixture
def occurrence() -> Occurrence:
    return make_occurrence()


def test_classification_shows_its_top_labels(admin_client: Client) -> None:
    labels = [{"index": index, "label": f"Label {index}"} for index in range(40)]
    classification = make_classification(
        scores=[index / 1000 for index in range(40)],
        logits=[0.0] * 40,
        category_map=AlgorithmCategoryMap.objects.create(data=labels),
    )

    text = admin_client.get(change_url(classification)).text

    assert text.index("Label 39") < text.index("Label 35")
    assert "Label 34" not in text
    assert "0.0390" in text


def test_editing_a_classification_updates_the_determination(
    admin_client: Client, occurrence: Occurrence
) -> None:
    classification = make_classification(detection=make_detection(occurrence=occurrence))
    other = make_taxon()

    response = admin_client.post(
        change_url(classification), filled(classification, taxon=other.pk, score=0.5)
    )

    assert response.status_code == 302
    occurrence.refresh_from_db()
    assert (occurrence.determination, occurrence.determination_score) == (other, 0.5)


def filled(classification: Classification, **changed: Any) -> dict[str, Any]:
    """Return the form data of a classification."""
    return {
        "detection": classification.detection_id,
        "taxon": classification.taxon_id,
        "score": classification.score,
        "terminal": "on",
        "timestamp_0": "2022-06-20",
        "timestamp_1": "23:00:00",
        "metadata": "{}",
        **changed,
    }


def test_both_occurrences_are_determined_where_a_classification_moves(
    admin_client: Client, occurrence: Occurrence
) -> None:
    former = make_detection(occurrence=make_occurrence())
    classification = make_classification(detection=former, score=0.5)
    former.occurrence.save()  # type: ignore[union-attr]
    moved = make_detection(occurrence=occurrence)

    admin_client.post(change_url(classification), filled(classification, detection=moved.pk))

    occurrence.refresh_from_db()
    assert occurrence.determination == classification.taxon
    assert Occurrence.objects.get(detections=former).determination is None


LARGE = re.compile(r'\."(similarity_vector|scores|logits|data|labels)"[, ]')
FIELDS = ("taxon", "detection", "algorithm", "category_map", "applied_to")


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_classification_is_made_from_is_found_as_it_is_typed(
    admin_client: Client, field: str
) -> None:
    category_map = AlgorithmCategoryMap.objects.create(
        labels=["Actias luna"], data=[{"index": 0, "label": "Actias luna"}]
    )
    algorithm = make_algorithm(category_map=category_map)
    source = make_classification(detection=make_detection(similarity_vector=[0.5]), scores=[1.0])
    made = make_classification(
        detection=source.detection, algorithm=algorithm, applied_to=source, scores=[1.0]
    )
    with CaptureQueriesContext(connection) as queries:
        change = admin_client.get(change_url(made)).text
        assert [query["sql"] for query in queries if LARGE.search(query["sql"])] == []
    add = admin_client.get(reverse("admin:main_classification_add")).text
    chosen = getattr(made, field)
    for text in (add, change):
        assert re.search(rf'<select name="{field}"[^>]*class="admin-autocomplete', text)
    assert f'<option value="{chosen.pk}" selected>{chosen}</option>' in change
    source_field = {"app_label": "main", "model_name": "classification", "field_name": field}
    asked = source_field | {"term": str(chosen.pk)}
    answer = admin_client.get(reverse("admin:autocomplete"), asked).json()
    assert answer["results"] == [{"id": str(chosen.pk), "text": str(chosen)}]


def test_classification_is_added_with_all_that_it_is_made_from(admin_client: Client) -> None:
    source = make_classification()
    algorithm = make_algorithm(category_map=AlgorithmCategoryMap.objects.create(labels=["a"]))
    sent = filled(source, algorithm=algorithm.pk, applied_to=source.pk, category_map="")

    admin_client.post(reverse("admin:main_classification_add"), sent)

    added = Classification.objects.latest("pk")
    assert (added.detection, added.applied_to, added.algorithm, added.category_map) == (
        source.detection,
        source,
        algorithm,
        algorithm.category_map,
    )


def test_classification_supersedes_neither_itself_nor_what_supersedes_it(
    admin_client: Client,
) -> None:
    first = make_classification()
    second = make_classification(detection=first.detection, applied_to=first)
    third = make_classification(detection=first.detection, applied_to=second)

    itself = admin_client.post(change_url(first), filled(first, applied_to=first.pk)).text
    circle = admin_client.post(change_url(first), filled(first, applied_to=third.pk)).text

    assert "A classification cannot supersede itself" in itself
    assert f"{third} already supersedes {first}; choose another classification." in circle
    assert not Classification.objects.filter(pk=first.pk).exclude(applied_to=None).exists()
