"""`any_of` finds what `in` finds, with one parameter."""

import pytest
from django.db.models import Q

from ami.base.tests.factories import make_classification
from ami.main.models import Classification

pytestmark = pytest.mark.django_db


def test_any_of_finds_the_rows_of_those_ids() -> None:
    first, second, other = (make_classification() for _ in range(3))
    found = Classification.objects.filter(pk__any_of={first.pk, second.pk, other.pk + 1_000_000})
    assert set(found) == {first, second}
    assert not Classification.objects.filter(pk__any_of=set()).exists()


def test_any_of_follows_a_foreign_key_and_combines() -> None:
    source, other = make_classification(), make_classification()
    derived = make_classification(applied_to=source)
    either = Q(applied_to__any_of={source.pk}) | Q(pk__any_of={other.pk})
    assert set(Classification.objects.filter(either)) == {derived, other}
    assert set(Classification.objects.exclude(applied_to__any_of={source.pk})) == {source, other}


def test_all_ids_are_one_parameter() -> None:
    _, params = (
        Classification.objects.filter(pk__any_of=set(range(1_000)))
        .values("pk")
        .query.sql_with_params()
    )
    assert len(params) == 1
