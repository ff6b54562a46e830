from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from ami.base.tests.factories import (
    NIGHT,
    make_algorithm,
    make_capture,
    make_capture_set,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
    make_user,
)
from ami.jobs.tests.job_types import make_job
from ami.main.models import (
    Classification,
    Detection,
    Identification,
    Occurrence,
    SourceImageCollection,
    Taxon,
)
from ami.ml.models import Algorithm
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import told

pytestmark = pytest.mark.django_db

SMALL = [10.0, 10.0, 20.0, 20.0]  # 0.0001 of the frame
LARGE = [0.0, 0.0, 500.0, 500.0]


def run(capture_set: SourceImageCollection | None = None, **options: Any) -> dict[str, int]:
    if capture_set:
        options["source_image_collection_id"] = capture_set.pk
    task = SmallSizeFilterTask(**options)
    task.run()
    return told(task)


def flags() -> list[Classification]:
    return list(
        Classification.objects.filter(algorithm__key="small_size_filter").order_by("detection_id")
    )


def make_classified(occurrence: Occurrence | None = None, **fields: Any) -> Detection:
    """A detection with a terminal classification of 0.9."""
    detection = make_detection(occurrence=occurrence, **fields)
    make_classification(detection=detection)
    return detection


def everything(*detections: Detection) -> SourceImageCollection:
    capture_set = make_capture_set([detections[0].source_image])
    capture_set.images.set([detection.source_image for detection in detections])
    return capture_set


def test_small_detection_is_flagged_and_large_one_is_not() -> None:
    small, large = make_classified(bbox=SMALL), make_classified(bbox=LARGE)
    former = small.classifications.get()
    counts = run(everything(small, large))
    assert counts == {"detections_checked": 2, "detections_flagged": 1}
    (flag,) = flags()
    assert flag.taxon
    assert (flag.taxon.name, flag.taxon.rank) == ("Not identifiable", "UNKNOWN")
    assert not flag.taxon.identifiable
    assert (flag.detection, flag.score, flag.terminal) == (small, 1.0, True)
    assert flag.applied_to == former
    assert flag.metadata == {"size_threshold": 0.0008}
    assert flag.job is None
    former.refresh_from_db()
    assert not former.terminal
    assert large.classifications.get().terminal


def test_rows_name_the_job() -> None:
    detection = make_classified(bbox=SMALL)
    job = make_job(status="STARTED")
    SmallSizeFilterTask(
        job=job, source_image_collection_id=everything(detection).pk, size_threshold=0.5
    ).run()
    (flag,) = flags()
    assert flag.job == job
    assert flag.metadata == {"size_threshold": 0.5}
    assert job.progress.get_stage("small_size_filter").name == "Small size filter"


@pytest.mark.parametrize(
    ("bbox", "frame", "reason"),
    [
        (None, (1000, 1000), "no box"),
        ([], (1000, 1000), "box is not four finite numbers"),
        ([1, 2, 3], (1000, 1000), "box is not four finite numbers"),
        ([1, 2, 3, 4, 5], (1000, 1000), "box is not four finite numbers"),
        ([1, 2, None, 4], (1000, 1000), "box is not four finite numbers"),
        ([1, 2, float("nan"), 4], (1000, 1000), "box is not four finite numbers"),
        ([1, 2, float("inf"), 4], (1000, 1000), "box is not four finite numbers"),
        ([float("-inf"), 2, 3, 4], (1000, 1000), "box is not four finite numbers"),
        (SMALL, (None, 1000), "frame without width or height"),
        (SMALL, (1000, None), "frame without width or height"),
        (SMALL, (None, None), "frame without width or height"),
        (SMALL, (0, 1000), "frame without width or height"),
        (SMALL, (1000, 0), "frame without width or height"),
        ([10, 10, 10, 20], (1000, 1000), "box is empty or inverted"),
        ([10, 10, 20, 10], (1000, 1000), "box is empty or inverted"),
        ([20, 10, 10, 20], (1000, 1000), "box is empty or inverted"),
        ([20, 20, 10, 10], (1000, 1000), "box is empty or inverted"),
        ([1000, 0, 1100, 100], (1000, 1000), "box is empty or inverted"),
        ([-20, -20, -10, -10], (1000, 1000), "box is empty or inverted"),
    ],
)
def test_detection_that_cannot_be_measured_is_skipped(
    bbox: Any, frame: tuple[int | None, int | None], reason: str
) -> None:
    capture = make_capture(width=frame[0], height=frame[1])
    detection = make_classified(bbox=bbox, source_image=capture)
    assert run(everything(detection)) == {
        "detections_checked": 1,
        "detections_skipped": 1,
        f"Skipped: {reason}": 1,
    }
    assert not flags()


@pytest.mark.parametrize(
    ("bbox", "flagged"),
    [
        ([0, 0, 100, 100], False),  # 0.01, the threshold itself
        ([0, 0, 100, 99.999], True),
        ([0, 0, 100, 100.001], False),
        ([-900, -900, 100, 99], True),  # all but 0.0099 lies outside of the frame
        ([950, 0, 5000, 100], True),
        ([-1e308, -1e308, 1e308, 1e308], False),
        ([999.9, 999.9, 1e300, 1e300], True),
        ([0, 0, 5e-324, 5e-324], True),
        ([0, 0, 1e-200, 1e-200], True),
        ([0, 0, 1e-200, 1000], True),
        ([0, 0, 1000, 1000], False),
    ],
)
def test_clipped_box_is_measured_against_the_threshold(bbox: list[float], flagged: bool) -> None:
    run(everything(make_classified(bbox=bbox)), size_threshold=0.01)
    assert bool(flags()) == flagged


@pytest.mark.parametrize("threshold", [5e-324, 1e-320, 1e-100, 1 - 1e-16])
def test_extreme_thresholds_are_no_error(threshold: float) -> None:
    capture_set = everything(make_classified(bbox=[0, 0, 999, 1000]))
    run(capture_set, size_threshold=threshold)
    assert len(flags()) == (threshold > 0.5)


def test_largest_possible_frame_is_measured() -> None:
    capture = make_capture(width=2**31 - 1, height=2**31 - 1)
    run(everything(make_classified(bbox=[0, 0, 1e308, 1e308], source_image=capture)))
    assert not flags()


def test_terminal_rows_of_all_algorithms_are_demoted_and_the_deciding_one_is_named() -> None:
    detection = make_detection(bbox=SMALL, occurrence=make_occurrence())
    older = make_classification(detection=detection, algorithm=make_algorithm(), score=0.8)
    best = make_classification(detection=detection, algorithm=make_algorithm(), score=0.8)
    for score in (0.3, 0.7):
        make_classification(detection=detection, algorithm=make_algorithm(), score=score)
    raw = make_classification(detection=detection, score=0.99, terminal=False)
    Classification.objects.filter(pk=older.pk).update(timestamp=NIGHT)
    Classification.objects.filter(pk=best.pk).update(timestamp=NIGHT + timedelta(days=1))
    run(everything(detection))
    (flag,) = flags()
    assert flag.applied_to == best
    assert list(detection.classifications.filter(terminal=True)) == [flag]
    raw.refresh_from_db()
    assert not raw.terminal


def test_row_without_a_taxon_is_not_what_is_superseded() -> None:
    detection = make_detection(bbox=SMALL)
    named = make_classification(detection=detection, score=0.5)
    Classification.objects.create(detection=detection, taxon=None, score=0.9)
    run(everything(detection))
    assert flags()[0].applied_to == named


def test_detection_without_classifications_is_flagged() -> None:
    run(everything(make_detection(bbox=SMALL)))
    assert flags()[0].applied_to is None


def test_second_run_writes_nothing() -> None:
    occurrence = make_occurrence()
    detection = make_classified(occurrence, bbox=SMALL)
    capture_set = everything(detection)
    assert run(capture_set)["detections_flagged"] == 1
    models = (Classification, Occurrence, Taxon, Algorithm)
    before = [list(model._default_manager.order_by("pk").values()) for model in models]
    assert run(capture_set) == {"detections_checked": 1}
    assert [list(model._default_manager.order_by("pk").values()) for model in models] == before


def test_detection_that_was_flagged_at_another_threshold_is_left_alone() -> None:
    capture_set = everything(make_classified(bbox=SMALL))
    run(capture_set)
    assert run(capture_set, size_threshold=0.5) == {"detections_checked": 1}
    assert [flag.metadata for flag in flags()] == [{"size_threshold": 0.0008}]


def test_flag_that_was_superseded_since_is_given_again() -> None:
    detection = make_classified(bbox=SMALL)
    capture_set = everything(detection)
    run(capture_set)
    Classification.objects.filter(algorithm__key="small_size_filter").update(terminal=False)
    assert run(capture_set)["detections_flagged"] == 1


def test_name_of_another_algorithm_is_no_flag_of_this_method() -> None:
    detection = make_detection(bbox=SMALL)
    taxon = make_taxon(name="Not identifiable", rank="UNKNOWN", identifiable=False)
    make_classification(detection=detection, taxon=taxon, algorithm=make_algorithm())
    assert run(everything(detection))["detections_flagged"] == 1


def test_one_small_frame_never_outvotes_a_good_one() -> None:
    occurrence = make_occurrence()
    small = make_classified(occurrence, bbox=SMALL)
    good = make_detection(bbox=LARGE, occurrence=occurrence)
    weak = make_classification(detection=good, score=0.05)
    run(everything(small, good))
    occurrence.refresh_from_db()
    assert (occurrence.determination, occurrence.determination_score) == (weak.taxon, 0.05)


def test_small_frame_does_not_outvote_where_the_name_was_there_before() -> None:
    """An import may have created the name as an ordinary taxon."""
    make_taxon(name="Not identifiable", rank="SPECIES", identifiable=True)
    occurrence = make_occurrence()
    small = make_classified(occurrence, bbox=SMALL)
    good = make_detection(bbox=LARGE, occurrence=occurrence)
    weak = make_classification(detection=good, score=0.05)
    run(everything(small, good))
    occurrence.refresh_from_db()
    assert occurrence.determination == weak.taxon
    taxon = Taxon.objects.get(name="Not identifiable")
    assert (taxon.rank, taxon.identifiable) == ("UNKNOWN", False)


def test_occurrence_of_small_frames_alone_becomes_not_identifiable() -> None:
    occurrence = make_occurrence()
    frames = [make_classified(occurrence, bbox=SMALL) for _ in range(3)]
    counts = run(everything(*frames))
    assert counts["occurrences_updated"] == 1
    occurrence.refresh_from_db()
    assert str(occurrence.determination) == "Not identifiable"
    assert occurrence.determination_score == 1.0


def test_human_identification_survives() -> None:
    occurrence = make_occurrence()
    detection = make_classified(occurrence, bbox=SMALL)
    taxon = make_taxon()
    Identification.objects.create(user=make_user(), taxon=taxon, occurrence=occurrence)
    counts = run(everything(detection))
    assert counts == {"detections_checked": 1, "detections_flagged": 1}
    occurrence.refresh_from_db()
    assert (occurrence.determination, occurrence.determination_score) == (taxon, 1.0)


def test_frames_outside_of_the_capture_set_count_for_the_determination() -> None:
    occurrence = make_occurrence()
    small = make_classified(occurrence, bbox=SMALL)
    elsewhere = make_detection(bbox=SMALL, occurrence=occurrence)
    decisive = make_classification(detection=elsewhere, score=0.4)
    counts = run(everything(small))
    assert counts["detections_checked"] == 1
    occurrence.refresh_from_db()
    assert occurrence.determination == decisive.taxon
    assert [flag.detection for flag in flags()] == [small]


def test_one_occurrence_can_be_the_scope() -> None:
    occurrence, other = make_occurrence(), make_occurrence()
    for home in (occurrence, occurrence, other):
        make_classified(home, bbox=SMALL)
    assert run(occurrence_id=occurrence.pk)["detections_flagged"] == 2


def test_loose_detections_are_flagged() -> None:
    assert run(everything(make_classified(bbox=SMALL)))["detections_flagged"] == 1


@pytest.mark.parametrize("rows", [10, 1_000])
def test_number_of_queries_does_not_grow_with_the_batch(
    rows: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    capture = make_capture()
    occurrences = Occurrence.objects.bulk_create(Occurrence() for _ in range(rows))
    detections = Detection.objects.bulk_create(
        Detection(source_image=capture, bbox=SMALL, occurrence=occurrence)
        for occurrence in occurrences
    )
    taxon = make_taxon()
    Classification.objects.bulk_create(
        Classification(detection=detection, taxon=taxon, score=0.9) for detection in detections
    )
    capture_set = make_capture_set([capture])
    job = make_job(status="STARTED")
    task = SmallSizeFilterTask(job=job, source_image_collection_id=capture_set.pk)
    task.prepare()
    assert task.algorithm
    (batch,) = task.plan()
    with django_assert_num_queries(4):
        task.work_on(batch)
    assert task.counts["detections_flagged"] == rows
    assert task.counts["occurrences_updated"] == rows
