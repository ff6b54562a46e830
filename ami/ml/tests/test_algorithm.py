"""The keys of algorithms, which are generated from their names."""

import pytest

from ami.ml.models import Algorithm

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["Moth net", "Moth-net", "moth  net"], ["moth-net-3", "moth-net-3-2", "moth-net-3-3"]),
        (["Сеть", "网"], ["algorithm-3", "algorithm-3-2"]),
        (["n" * 255, "n" * 254], [f"{'n' * 200}-3", f"{'n' * 200}-3-2"]),
    ],
)
def test_names_that_are_alike_get_keys_of_their_own(names: list[str], keys: list[str]) -> None:
    assert [Algorithm.objects.create(name=name, version=3).key for name in names] == keys
    for name, key in zip(names, keys, strict=True):
        row = Algorithm.objects.get(name=name)
        row.save()
        assert row.key == key
