"""Imports of scores and logits for algorithms that exist."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from ami.exchange.tests.present import results
from ami.exchange.tests.uploads import plan_of
from ami.jobs.models import Job
from ami.main.models import Classification, Detection
from ami.ml.models import Algorithm, AlgorithmCategoryMap

pytestmark = pytest.mark.django_db
LABELS = ["Actias luna", "Actias selene", "Noctua pronuba"]


@pytest.fixture(autouse=True)
def algorithm() -> Algorithm:
    data = [{"index": index, "label": label} for index, label in enumerate(LABELS)]
    category_map = AlgorithmCategoryMap.objects.create(data=data)
    return Algorithm.objects.create(name="Moth", version=1, category_map=category_map)


@pytest.mark.parametrize("labels", [LABELS[:2], LABELS[::-1], [*LABELS, "Noctua comes"]])
def test_vectors_of_other_labels_are_refused(
    import_export: Callable[..., str], labels: list[str]
) -> None:
    with pytest.raises(CommandError) as refusal:
        import_export(results(labels, [0.5] * len(labels)))

    assert str(refusal.value) == (
        f"detections[0]: the {len(labels)} labels of algorithm 'Moth', version 1, are not the 3 "
        "labels of its category map in the database, or have another order. Give the algorithm of "
        "the file another version."
    )
    assert not Detection.objects.exists()


def test_vectors_of_the_same_labels_are_stored(import_export: Callable[..., str]) -> None:
    import_export(results(LABELS, [0.7, 0.2, 0.1]))

    assert Classification.objects.get().scores == [0.7, 0.2, 0.1]


def test_other_labels_without_vectors_are_imported(import_export: Callable[..., str]) -> None:
    import_export(results(LABELS[:2], []))

    assert Classification.objects.get().scores is None


@pytest.mark.parametrize("name", ["one\ttwo.json", "one\\Ntwo.json", "one\ntwo.json"])
def test_a_folder_may_have_files_of_any_name(tmp_path: Path, name: str) -> None:
    for one in (name, "z.json"):
        (tmp_path / one).write_text(json.dumps(results(LABELS, [0.7, 0.2, 0.1])))

    call_command("import_occurrences", str(tmp_path), "--project=P", stdout=StringIO())

    assert Detection.objects.count() == 1
    (told,) = [one for one in plan_of(Job.objects.get()).told() if one.model is Detection]
    assert (told.place, told.reason) == (
        "z.json: detections[0]",
        f"has the same box as {name}: detections[0], so they are one detection: results of other "
        "algorithms are added to it, and the rest is left out",
    )
