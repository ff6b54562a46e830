import pytest

from ami.base.tests.factories import make_algorithm, make_taxon
from ami.base.tests.snapshots import snapshot
from ami.main.models import Classification, Occurrence, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.flagging import flag_detections
from ami.ml.post_processing.preview import preview
from ami.ml.post_processing.scopes import chosen_scope
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.consensus import (
    BOX,
    FRAMES,
    classifier,
    consensus,
    make_track,
    name_of,
    result,
)
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_ranks,
    make_source,
)
from ami.ml.post_processing.track_consensus import TrackConsensusTask

pytestmark = pytest.mark.django_db

__all__ = ["classifier"]


def test_one_classification_on_the_best_frame_names_the_individual(classifier: Algorithm) -> None:
    occurrence = make_track(classifier, *FRAMES[1:], FRAMES[0])
    sources = list(Classification.objects.order_by("pk"))
    assert consensus() == {
        "occurrences_checked": 1,
        "occurrences_fused": 1,
        "frames_fused": 3,
        "scores_refreshed": 1,
    }
    new = result(occurrence)
    assert new
    assert str(new.taxon) == "a"
    assert new.score == pytest.approx(0.533333, abs=1e-6)
    assert new.scores == pytest.approx([1.6 / 3, 1.35 / 3, 0.05 / 3])
    assert (new.logits, new.category_map) == (None, classifier.category_map)
    assert (new.detection, new.applied_to) == (sources[2].detection, sources[2])
    assert new.metadata == {
        "rule": "mean",
        "temperature": 1.0,
        "frames": [source.detection_id for source in sources],
        "sources": [source.pk for source in sources],
        "weights": [0.333333] * 3,
    }
    assert not Classification.objects.filter(
        pk__in=[source.pk for source in sources], terminal=True
    ).exists()
    assert name_of(occurrence) == ("a", new.score)


def test_preview_shows_the_frame_with_the_consensus(classifier: Algorithm) -> None:
    alone = make_track(classifier, FRAMES[0])
    occurrence = make_track(classifier, *FRAMES[1:], FRAMES[0])
    task = TrackConsensusTask(source_image_collection_id=everything().pk)
    points = preview(task, chosen_scope(task.config)).series[0].points
    best = occurrence.detections.latest("pk")
    assert points.values.tolist() == [1, 3]
    assert points.detections.tolist() == [alone.detections.get().pk, best.pk]


@pytest.mark.parametrize(
    ("rule", "score"), [("mean", 0.533333), ("log_mean", 0.584075), ("best", 0.9)]
)
def test_rules(classifier: Algorithm, rule: str, score: float) -> None:
    occurrence = make_track(classifier, *FRAMES)
    consensus(rule=rule)
    assert name_of(occurrence) == ("a", pytest.approx(score, abs=1e-6))
    new = result(occurrence)
    assert new
    assert ("weights" in new.metadata) == (rule != "best")


def test_frames_without_movement_count_as_one_look(classifier: Algorithm) -> None:
    still = make_track(
        classifier, FRAMES[0], *[FRAMES[1]] * 5, boxes=[[500, 500, 600, 600], *[BOX] * 5]
    )
    moving = make_track(classifier, FRAMES[0], *[FRAMES[1]] * 5)
    consensus()
    assert name_of(still) == ("a", pytest.approx(0.65))
    assert name_of(moving) == ("b", pytest.approx((0.1 + 5 * 0.6) / 6))
    new = result(still)
    assert new
    assert new.metadata["weights"] == [0.5] + [0.1] * 5


def test_large_frames_weigh_more(classifier: Algorithm) -> None:
    occurrence = make_track(
        classifier, FRAMES[0], FRAMES[1], boxes=[[0, 0, 10, 10], [100, 0, 190, 10]]
    )
    consensus()
    assert name_of(occurrence) == ("b", pytest.approx((0.1 + 9 * 0.6) / 10))


def test_temperature_makes_frames_less_certain(classifier: Algorithm) -> None:
    occurrence = make_track(classifier, *[{"logits": [4.0, 0.0, 0.0]}] * 2)
    consensus(temperature=2)
    assert name_of(occurrence) == ("a", pytest.approx(2.718281828**2 / (2.718281828**2 + 2)))


def test_logits_and_scores_of_one_category_map_are_fused_together(classifier: Algorithm) -> None:
    other = make_algorithm(category_map=classifier.category_map)
    occurrence = make_track(classifier, FRAMES[0], {"logits": [0.0, 0.0, 0.0], "algorithm": other})
    consensus()
    assert name_of(occurrence) == ("a", pytest.approx((0.9 + 1 / 3) / 2))


def test_classifications_of_one_frame_share_its_weight(classifier: Algorithm) -> None:
    occurrence = make_track(classifier, FRAMES[0], FRAMES[1])
    last = occurrence.detections.latest("pk")
    make_source(classifier, scores=[0.0, 0.0, 1.0], detection=last)
    consensus()
    assert name_of(occurrence) == ("a", pytest.approx((0.9 + (0.4 + 0.0) / 2) / 2))


def test_names_without_distributions_are_fused_by_their_scores() -> None:
    x, y = make_taxon(name="x"), make_taxon(name="y")
    frames = [{"taxon": x, "score": 0.6}, *[{"taxon": y, "score": 0.5}] * 2]
    occurrence = make_track(None, *frames)
    consensus()
    new = result(occurrence)
    assert new
    assert (new.taxon, new.scores) == (y, None)
    assert new.score == pytest.approx(1 / 3)
    assert name_of(occurrence) == ("y", new.score)


def test_individual_with_several_category_maps_is_skipped(
    classifier: Algorithm, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_classifier("a", "b", "c")
    occurrence = make_track(classifier, FRAMES[0], {"scores": FRAMES[1], "algorithm": other})
    before = snapshot(Classification, Occurrence)
    assert consensus() == {
        "occurrences_checked": 1,
        "Skipped: individual with several category maps": 1,
    }
    assert snapshot(Classification, Occurrence) == before
    assert f"Ids: {occurrence.pk}." in caplog.text


def test_few_frames_are_left_alone(classifier: Algorithm) -> None:
    make_track(classifier, FRAMES[0])
    make_track(classifier, *FRAMES[:2])
    before = snapshot(Classification, Occurrence)
    assert consensus(min_frames=3) == {"occurrences_checked": 2, "too_few_frames": 2}
    assert snapshot(Classification, Occurrence) == before


def test_class_without_a_taxon_leaves_the_individual_alone() -> None:
    make_ranks("F", "G", "a")
    wide = make_classifier("a", "nobody", "c")
    make_track(wide, *[{"scores": [0.3, 0.7, 0.0], "taxon": Taxon.objects.get(name="a")}] * 2)
    before = snapshot(Classification, Occurrence)
    assert consensus() == {"occurrences_checked": 1, "unresolved": 1}
    assert snapshot(Classification, Occurrence) == before


def test_unsound_frame_does_not_outvote_the_others(classifier: Algorithm) -> None:
    odd = {"scores": [1.0], "taxon": Taxon.objects.get(name="c"), "score": 1.0}
    occurrence = make_track(classifier, FRAMES[0], odd, FRAMES[0])
    assert name_of(occurrence) == ("c", 1.0)
    assert consensus()["frames_fused"] == 2
    assert name_of(occurrence) == ("a", pytest.approx(0.9))


def test_flagged_frames_say_nothing_and_stay_flagged(classifier: Algorithm) -> None:
    occurrence = make_track(classifier, *FRAMES)
    task = SmallSizeFilterTask(occurrence_id=occurrence.pk)
    unknown = make_taxon(name="Not identifiable", identifiable=False)
    first = occurrence.detections.earliest("pk")
    flag_detections(task, [first.pk], taxon=unknown)
    consensus()
    assert name_of(occurrence) == ("b", pytest.approx(0.625))
    assert Classification.objects.get(detection=first, terminal=True).taxon == unknown
