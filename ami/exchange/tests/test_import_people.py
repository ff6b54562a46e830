"""Imports of what people say: several people, answers taken back, and times."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ami.base.tests.factories import make_project
from ami.exchange.tests.present import classification, detection, identification, occurrence
from ami.main.models import Deployment, Identification, Occurrence

pytestmark = pytest.mark.django_db
Import = Callable[..., str]


def said() -> list[tuple[str, bool]]:
    rows = Identification.objects.order_by("pk").values_list("taxon__name", "withdrawn")
    return [(str(name), withdrawn) for name, withdrawn in rows]


def named() -> list[str]:
    return [str(one.determination) for one in Occurrence.objects.order_by("pk")]


def changed_mind(**fields: Any) -> dict[str, Any]:
    """The person has taken back the first answer and given another one."""
    return occurrence(
        identifications=[
            identification(1, withdrawn=True),
            identification(2, "Actias maenas", **fields),
        ]
    )


def test_answers_that_were_taken_back_are_changed_by_update(import_export: Import) -> None:
    import_export([occurrence(identifications=[identification(1)])])

    text = import_export([changed_mind()])
    assert "[0]: '1, Actias selene': withdrawn: no → yes" in text
    assert "Different in the file" in text
    assert (said(), named()) == (
        [("Actias selene", False), ("Actias maenas", False)],
        ["Actias maenas"],
    )

    text = import_export([changed_mind(withdrawn=True)], update=True)
    assert "Changed: 2 identifications." in text
    assert (said(), named()) == (
        [("Actias selene", True), ("Actias maenas", True)],
        ["Actias luna"],
    )
    assert "already contains all rows" in import_export([changed_mind(withdrawn=True)])


def test_the_same_answer_of_two_people_is_kept_twice(import_export: Import) -> None:
    nobody: dict[str, Any] = {"user": None}
    one, two = identification(1, **nobody), identification(2, **nobody)
    import_export([occurrence(identifications=[one])])
    import_export([occurrence(identifications=[one, two])])

    assert len(said()) == 2
    assert "already contains all rows" in import_export([occurrence(identifications=[one, two])])


def test_an_answer_that_agrees_with_an_imported_one_refers_to_it(import_export: Import) -> None:
    first = identification(1)
    import_export([occurrence(identifications=[first])])
    second = identification(2, user={"id": 4, "name": "Ben"}, agreed_with_identification=1)
    import_export([occurrence(identifications=[first, second])])

    one, two = Identification.objects.order_by("pk")
    assert two.agreed_with_identification == one
    assert not two.is_independent


def test_a_determination_in_another_spelling_is_not_a_persons(import_export: Import) -> None:
    record = occurrence(determination={"id": 1, "name": "actias_luna"})
    import_export([record])

    assert said() == []


def test_the_latest_answer_of_the_file_decides(import_export: Import) -> None:
    project = make_project(name="Vermont")
    Deployment.objects.create(project=project, name="Trap", time_zone="America/New_York")
    answers = [identification(2, "Actias maenas"), identification(1)]
    import_export([occurrence(identifications=answers)])

    assert named() == ["Actias maenas"]
    latest = Identification.objects.get(taxon__name="Actias maenas")
    assert latest.created_at == datetime(2022, 8, 2, 4, tzinfo=UTC)


def test_an_answer_of_the_future_does_not_win_over_later_ones(import_export: Import) -> None:
    answer = identification(1, created_at="2999-01-01T00:00:00Z")
    import_export([occurrence(identifications=[answer])])
    found = Occurrence.objects.get()
    Identification.objects.create(
        occurrence=found, taxon=found.detections.get().classifications.get().taxon
    )

    assert named() == ["Actias luna"]


def test_answers_to_occurrences_that_are_one_here_are_all_kept(import_export: Import) -> None:
    both = occurrence(detections=[detection(1), detection(2)])
    import_export([both])
    import_export(
        [
            occurrence(1, identifications=[identification(1)]),
            occurrence(2, identifications=[identification(2, "Actias maenas")]),
        ]
    )

    assert said() == [("Actias selene", False), ("Actias maenas", False)]


def test_update_keeps_what_a_person_has_said_here(import_export: Import) -> None:
    import_export([occurrence()])
    found = Occurrence.objects.get()
    Identification.objects.create(occurrence=found, taxon=found.determination)
    other = classification(1, "Actias selene", score=0.9)
    text = import_export([occurrence(detections=[detection(classifications=[other])])], update=True)

    assert "taxon: 'Actias luna' → 'Actias selene'; score: 0.5 → 0.9" in text
    assert named() == ["Actias luna"]
