"""Imports that are written in several batches."""

from collections.abc import Callable
from typing import Any

import pytest

from ami.base.tests.snapshots import snapshot
from ami.exchange.importing import survey, work
from ami.exchange.importing.keys import TOLERANCE, box_key, box_keys
from ami.exchange.models import Import
from ami.exchange.tests.exports import MODELS, make_example, make_record, plan_in
from ami.jobs.models import JobPart
from ami.main.models import Detection, Occurrence, SourceImage

pytestmark = pytest.mark.django_db
Run = Callable[..., str]


def records() -> list[dict[str, Any]]:
    """Seven records that share captures, one of which has an odd time."""
    data = [make_record(one, captures=3) for one in range(7)]
    for place, record in enumerate(data):
        box = [place, 300, 400, 500]
        record["examples"].append(make_example(99, 50, timestamp="1970-01-01T00:00:00Z", bbox=box))
    return data


def test_batches_do_not_change_what_is_told_or_written(
    import_export: Run, monkeypatch: pytest.MonkeyPatch, small_batches: None
) -> None:
    in_batches = plan_in(import_export(records(), format="json"))
    assert len(JobPart.objects.get().batches) == 4
    assert in_batches["counts"]["contradiction"] == {"sourceimage": 1}
    first = {model.__name__: model._default_manager.count() for model in MODELS}
    before = snapshot(Detection, SourceImage, Occurrence)
    again = plan_in(import_export(records(), format="json"))
    assert again["counts"]["created"] == {}
    assert again["counts"]["unchanged"]["sourceimage"] == 4
    assert again["counts"]["unchanged"]["detection"] == 28
    assert snapshot(Detection, SourceImage, Occurrence) == before

    monkeypatch.setattr(work, "ATOMIC_BELOW", 50_000)
    at_once = plan_in(import_export(records(), project="Other", format="json"))
    in_batches["counts"]["created"].pop("taxon")
    in_batches["counts"]["created"].pop("algorithm")
    assert at_once["counts"]["created"] == in_batches["counts"]["created"]
    assert at_once["counts"]["contradiction"] == in_batches["counts"]["contradiction"]
    assert {model.__name__: model._default_manager.count() for model in MODELS} != first


@pytest.mark.usefixtures("small_batches")
def test_all_or_nothing_is_one_batch(import_export: Run) -> None:
    import_export(records(), "--atomic")
    assert len(JobPart.objects.get().batches) == 1
    assert Import.objects.get().plan["counts"]["created"]["detection"] == 28


def test_a_record_of_many_detections_ends_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "BATCH_DETECTIONS", 10)
    found = survey.Survey()
    for detections in (3, 8, 1, 40, 0, 2):
        found.add(detections)
    assert [(one.first, one.items, one.detections) for one in found.batches] == [
        (0, 2, 11),
        (2, 2, 41),
        (4, 2, 2),
    ]


@pytest.mark.parametrize("edge", [100.000005, 100.0, 99.9999949999])
@pytest.mark.parametrize("shift", [0, TOLERANCE / 2, -TOLERANCE / 2])
def test_a_box_is_found_within_the_tolerance(edge: float, shift: float) -> None:
    assert box_key([edge, 1, 2, 3]) in set(box_keys([edge + shift, 1, 2, 3]))
    assert box_key([edge, 1, 2, 3]) not in set(box_keys([edge + 0.001, 1, 2, 3]))


def test_a_box_on_the_edge_of_rounding_is_the_same_detection(import_export: Run) -> None:
    def record(edge: float) -> dict[str, Any]:
        return make_record(1, examples=[make_example(1, 0, bbox=[edge, 20, 200, 220])])

    import_export([record(100.0000049999)])
    assert "already contains all rows" in import_export([record(100.0000050001)])
    assert Detection.objects.count() == 1
