from typing import Any

import pytest
from django.core.management import call_command

from ami.base.tests.factories import make_capture_set, make_detection, make_taxon, make_user
from ami.base.tests.shared import EXPORT, OWN_EXPORT, third_party
from ami.base.tests.snapshots import snapshot
from ami.main.models import Classification, Detection, Identification, Occurrence, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.tests.consensus import (
    FRAMES,
    classifier,
    consensus,
    make_track,
    name_of,
    result,
)
from ami.ml.post_processing.tests.vectors import everything, make_list, make_source, run
from ami.ml.post_processing.track_consensus import TrackConsensusTask

pytestmark = pytest.mark.django_db

__all__ = ["classifier"]


def test_identification_wins(classifier: Algorithm) -> None:
    occurrence = make_track(classifier, *FRAMES)
    lynx = make_taxon(name="Lynx")
    Identification.objects.create(occurrence=occurrence, taxon=lynx, user=make_user())
    consensus()
    assert result(occurrence)
    assert name_of(occurrence) == ("Lynx", 1.0)


def test_frames_outside_the_capture_set_count(classifier: Algorithm) -> None:
    occurrence = make_track(classifier, *FRAMES)
    part = make_capture_set([occurrence.detections.earliest("pk").source_image])
    assert consensus(source_image_collection_id=part.pk)["frames_fused"] == 3


def test_second_run_writes_nothing_and_other_options_supersede_the_result(
    classifier: Algorithm,
) -> None:
    occurrence = make_track(classifier, *FRAMES)
    consensus()
    first, before = result(occurrence), snapshot(Classification, Occurrence)
    assert consensus() == {"occurrences_checked": 1, "unchanged": 1}
    assert snapshot(Classification, Occurrence) == before
    assert consensus(rule="best")["occurrences_fused"] == 1
    second = result(occurrence)
    assert first
    assert second
    assert second.metadata["sources"] == first.metadata["sources"]
    assert name_of(occurrence) == ("a", 0.9)
    consensus()
    third = result(occurrence)
    assert third
    assert (third.score, third.metadata) == (first.score, first.metadata)


def test_new_frame_and_frame_that_was_classified_anew_are_taken_in(classifier: Algorithm) -> None:
    occurrence = make_track(classifier, *FRAMES[:2])
    consensus()
    make_track(classifier, FRAMES[2], occurrence=occurrence)
    first = occurrence.detections.earliest("pk")
    make_source(classifier, scores=[0.0, 0.0, 1.0], detection=first)
    assert consensus()["frames_fused"] == 3
    new = result(occurrence)
    assert new
    assert new.scores == pytest.approx([0.7 / 3, 1.25 / 3, 1.05 / 3])


def test_merged_individuals_get_one_consensus(classifier: Algorithm) -> None:
    one = make_track(classifier, *FRAMES[:2])
    other = make_track(classifier, *[FRAMES[2]] * 2)
    consensus()
    Detection.objects.filter(occurrence=other).update(occurrence=one)
    assert consensus(occurrence_id=one.pk)["frames_fused"] == 4
    assert result(one)


def test_consensus_whose_metadata_was_edited_stays(classifier: Algorithm) -> None:
    occurrence = make_track(classifier, *FRAMES)
    consensus()
    odd: list[Any] = [{"sources": "all"}, {"sources": [None, {}]}, {}, []]
    for metadata in odd:
        Classification.objects.filter(algorithm__key="track_consensus").update(metadata=metadata)
        assert consensus() == {}
        assert result(occurrence)


def test_masking_comes_before_and_rollup_after(classifier: Algorithm) -> None:
    occurrence = make_track(
        classifier, *({"logits": logits} for logits in ([2.0, 1.0, 3.0], [1.0, 2.0, 5.0]))
    )
    kept = make_list(*Taxon.objects.filter(name__in=["a", "b"]))
    run(ClassMaskingTask, taxa_list_id=kept.pk, algorithm_id=classifier.pk)
    consensus(rule="log_mean")
    new = result(occurrence)
    assert new
    assert new.scores == pytest.approx([0.5, 0.5, 0.0])
    run(RankRollupTask, thresholds={"SPECIES": 0.8, "GENUS": 0.9})
    assert name_of(occurrence) == ("G", 1.0)
    before = snapshot(Classification, Occurrence)
    assert consensus() == {"occurrences_checked": 1, "too_few_frames": 1}
    assert snapshot(Classification, Occurrence) == before


def test_without_occurrences_there_is_nothing_to_do(classifier: Algorithm) -> None:
    make_source(classifier, scores=FRAMES[0], detection=make_detection())
    task = TrackConsensusTask(source_image_collection_id=everything().pk)
    assert task.nothing_to_do() == "No detection in scope is in an occurrence."


@pytest.fixture(params=[pytest.param(OWN_EXPORT, id="own"), third_party(EXPORT, EXPORT)])
def export(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_still_moth_ends_with_one_name(export: Any) -> None:
    call_command("import_occurrences", export, project="Vermont", verbosity=0)
    names: dict[int, set[int | None]] = {}
    rows = Classification.objects.filter(terminal=True)
    for occurrence_id, taxon_id in rows.values_list("detection__occurrence_id", "taxon_id"):
        names.setdefault(occurrence_id, set()).add(taxon_id)
    moth = Occurrence.objects.get(pk=max(names, key=lambda pk: len(names[pk])))
    assert len(names[moth.pk]) == (11 if export == EXPORT else 3)
    frames = moth.detections.count()
    consensus()
    new = result(moth)
    assert new
    assert len(new.metadata["frames"]) == frames
    assert name_of(moth) == (str(new.taxon), new.score)
    if export == EXPORT:
        assert str(new.taxon) == "Elophila tinealis"
