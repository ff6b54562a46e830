"""The costs of tracking, tried on nights in which people have identified occurrences."""

from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import make_capture_set, make_classification, make_user
from ami.main.models import (
    Detection,
    Identification,
    Occurrence,
    SourceImage,
    SourceImageCollection,
)
from ami.ml.post_processing.scopes import SCOPES, Chosen
from ami.ml.post_processing.tests.nights import A, B, detections, make_event, make_night, moved
from ami.ml.post_processing.tests.test_tracking_property import OCCURRENCES, Seen, nights, write
from ami.ml.post_processing.tracking import TrackingTask
from ami.review.sweep.run import Tried, try_values
from ami.review.tests.planted import Tree, make_tree
from ami.review.tests.real_runs import names_after
from ami.testing.records import exactly, rows

pytestmark = pytest.mark.django_db
COSTS = (0.01, 0.8)

options = st.fixed_dictionaries(
    {},
    optional={
        "geometry_cost_threshold": st.sampled_from([1e-9, 0.2, 0.6, 1.2, 3]),
        "cost_threshold": st.sampled_from([0.1, 0.5, 1, 5]),
        "max_gap_captures": st.integers(1, 3),
        "max_gap_seconds": st.sampled_from([30, 60, 120]),
    },
)


def make_tracks(tree: Tree) -> SourceImageCollection:
    """Two moths on two captures each. A person knows the first; its poor frame has a wrong name."""
    event = make_night([A, B], [moved(A, 5), moved(B, 5)])
    names = ((tree.other, 0.3), (tree.sister, 0.5), (tree.species, 0.9), (tree.sister, 0.6))
    for detection, (taxon, score) in zip(detections(event), names, strict=True):
        make_classification(detection=detection, taxon=taxon, score=score)
    for detection, truth in zip(detections(event)[:2], (tree.species, tree.sister), strict=True):
        assert detection.occurrence
        Identification.objects.create(
            occurrence=detection.occurrence, taxon=truth, user=make_user()
        )
    return make_capture_set(list(SourceImage.objects.all()))


def tried(capture_set: SourceImageCollection) -> Tried:
    configs = [
        {"geometry_cost_threshold": cost, "source_image_collection_id": capture_set.pk}
        for cost in COSTS
    ]
    return try_values(TrackingTask, configs, Chosen(SCOPES[0], [capture_set.pk], foreign=[]))


def test_identified_occurrences_are_tracked_as_if_nobody_had_identified_them() -> None:
    tree = make_tree()
    capture_set = make_tracks(tree)
    state = exactly(rows())
    found = tried(capture_set)
    truths = found.answers.truth.tolist()
    first = truths.index(tree.species.pk)
    assert sorted(truths) == sorted([tree.species.pk, tree.sister.pk])
    names = [found.before[first], *(after[first] for after in found.after)]
    assert names == [tree.other.pk, tree.other.pk, tree.species.pk]
    assert {int(after[1 - first]) for after in found.after} == {tree.sister.pk}
    assert exactly(rows()) == state, "nothing is written"


def test_one_that_joins_an_earlier_occurrence_is_followed() -> None:
    tree = make_tree()
    capture_set = make_tracks(tree)
    last = Identification.objects.latest("pk")
    Identification.objects.exclude(pk=last.pk).delete()
    later = detections(SourceImage.objects.earliest("pk").event)[3]  # type: ignore[arg-type]
    Identification.objects.filter(pk=last.pk).update(occurrence=later.occurrence)
    found = tried(capture_set)
    assert [names.tolist() for names in found.after] == [[tree.sister.pk]] * 2


@pytest.mark.django_db
@settings(
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(nights, st.booleans(), st.integers(0, 2), st.lists(options, min_size=2, max_size=4))
def test_whatever_the_night_it_gives_the_names_of_real_runs(
    night: list[list[Seen]], with_vectors: bool, strays: int, several: list[dict[str, Any]]
) -> None:
    with transaction.atomic():
        write(night, [False] * OCCURRENCES)
        Occurrence.objects.filter(detections=None).delete()
        for occurrence in Occurrence.objects.order_by("pk")[:strays]:  # those of another night
            Occurrence.objects.filter(pk=occurrence.pk).update(event=make_event())
        if with_vectors:
            for number, row in enumerate(Detection.objects.order_by("pk")):
                row.similarity_vector = [1, number % 3]
                row.save()
        capture_set = make_capture_set(list(SourceImage.objects.all()))
        configs = [{"source_image_collection_id": capture_set.pk, **one} for one in several]
        chosen = Chosen(SCOPES[0], [capture_set.pk], foreign=[])
        state = exactly(rows())
        found = try_values(TrackingTask, configs, chosen, seconds=1e6)
        assert len(found.answers.occurrences) == Occurrence.objects.count()
        expected = [names_after(TrackingTask, config, found.answers) for config in configs]
        assert [names.tolist() for names in found.after] == expected
        assert exactly(rows()) == state, "nothing is written"
        transaction.set_rollback(True)


def test_it_reads_each_night_once_however_many_values_there_are() -> None:
    capture_set = make_tracks(make_tree())
    chosen = Chosen(SCOPES[0], [capture_set.pk], foreign=[])

    def queries(number: int) -> int:
        configs = [
            {"geometry_cost_threshold": cost, "source_image_collection_id": capture_set.pk}
            for cost in np.linspace(0.01, 3, number)
        ]
        with CaptureQueriesContext(connection) as seen:
            try_values(TrackingTask, configs, chosen)
        return len(seen)

    assert queries(2) == queries(50)
