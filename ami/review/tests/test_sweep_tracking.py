"""The costs of tracking, tried on nights in which people have identified occurrences."""

import pytest

from ami.base.tests.factories import make_capture_set, make_classification, make_user
from ami.main.models import Identification, SourceImage, SourceImageCollection
from ami.ml.post_processing.scopes import SCOPES, Chosen
from ami.ml.post_processing.tests.nights import A, B, detections, make_night, moved
from ami.ml.post_processing.tracking import TrackingTask
from ami.review.sweep.run import Tried, try_values
from ami.review.tests.planted import Tree, make_tree
from ami.testing.records import exactly, rows

pytestmark = pytest.mark.django_db
COSTS = (0.01, 0.8)


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
