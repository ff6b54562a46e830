import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.tests.factories import make_algorithm
from ami.ml.models import AlgorithmCategoryMap

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ('{"index": 0}', "Give a list of classes"),
        ('[{"label": "Actias luna"}]', "Entry 0 needs a whole number"),
        ('[{"index": 1, "label": "Actias luna"}]', "The indexes must be 0 to 0"),
        ("[", "Enter a valid JSON."),
    ],
)
def test_a_broken_category_map_is_refused_with_a_sentence(
    admin_client: Client, data: str, sentence: str
) -> None:
    response = admin_client.post(reverse("admin:ml_algorithmcategorymap_add"), {"data": data})

    assert sentence in response.content.decode()
    assert not AlgorithmCategoryMap.objects.exists()


def test_the_labels_of_a_category_map_follow_its_data(admin_client: Client) -> None:
    data = '[{"index": 1, "label": "b"}, {"index": 0, "label": "a"}]'

    admin_client.post(reverse("admin:ml_algorithmcategorymap_add"), {"data": data})

    assert AlgorithmCategoryMap.objects.get().labels == ["a", "b"]


def test_algorithms_are_listed_without_their_category_maps(admin_client: Client) -> None:
    for _ in range(3):
        make_algorithm(category_map=AlgorithmCategoryMap.objects.create(data=[]))

    with CaptureQueriesContext(connection) as queries:
        admin_client.get(reverse("admin:ml_algorithm_changelist"))

    assert len(queries) <= 6
