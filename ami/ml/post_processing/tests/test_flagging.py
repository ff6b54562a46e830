import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import (
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.main.models import Classification, Detection, Occurrence, Taxon
from ami.ml.post_processing.flagging import compare_flags, flag_detections
from ami.ml.post_processing.tests.methods import CountingTask, make_scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def task() -> CountingTask:
    return CountingTask(source_image_collection_id=make_scope().pk)


@pytest.fixture
def blurred() -> Taxon:
    return make_taxon(name="Blurred", identifiable=False)


def make_classified() -> Detection:
    detection = make_detection(occurrence=make_occurrence())
    make_classification(detection=detection, score=0.9)
    return detection


def test_flag_supersedes_the_best_terminal_classification(
    task: CountingTask, blurred: Taxon
) -> None:
    detection = make_classified()
    best = detection.classifications.get()
    for score, terminal in ((0.8, True), (1.0, False)):
        make_classification(detection=detection, score=score, terminal=terminal)
    other = make_classified()
    assert flag_detections(task, [detection.pk], taxon=blurred, metadata={"sharpness": 3}) == 1
    flag = Classification.objects.get(algorithm=task.algorithm)
    assert (flag.detection, flag.taxon, flag.score, flag.terminal) == (detection, blurred, 1, True)
    assert (flag.applied_to, flag.job, flag.metadata) == (best, None, {"sharpness": 3})
    assert list(detection.classifications.filter(terminal=True)) == [flag]
    assert other.classifications.get().terminal
    assert Occurrence.objects.get(determination=blurred) == detection.occurrence
    assert task.counts == {"detections_flagged": 1, "occurrences_updated": 1, "scores_refreshed": 0}


@pytest.mark.parametrize("ids", [[], Detection.objects.none().values_list("pk", flat=True), [7]])
def test_nothing_is_flagged_where_there_is_no_detection(
    task: CountingTask, blurred: Taxon, ids: list[int]
) -> None:
    assert flag_detections(task, ids, taxon=blurred) == 0
    assert not Classification.objects.exists()
    assert not any(task.counts.values())


def test_flag_is_not_repeated(task: CountingTask, blurred: Taxon) -> None:
    detection = make_detection()
    assert flag_detections(task, [detection.pk, detection.pk], taxon=blurred) == 1
    assert flag_detections(task, [detection.pk], taxon=blurred) == 0
    flag = detection.classifications.get()
    assert (flag.applied_to, flag.metadata) == (None, {})
    assert flag_detections(task, [detection.pk], taxon=make_taxon()) == 1
    flag.refresh_from_db()
    assert not flag.terminal


def test_number_of_queries_does_not_grow(task: CountingTask, blurred: Taxon) -> None:
    assert task.algorithm
    numbers = []
    for size in (1, 5):
        ids = [make_classified().pk for _ in range(size)]
        with CaptureQueriesContext(connection) as queries:
            assert flag_detections(task, ids, taxon=blurred) == size
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]


def test_a_comparison_tells_what_flagging_would_change(task: CountingTask, blurred: Taxon) -> None:
    flagged, *others = [make_classified() for _ in range(3)]
    flag_detections(task, [flagged.pk], taxon=blurred)
    ids = np.array([others[1].pk, flagged.pk, others[0].pk])
    choices = [
        np.array(choice) for choice in ([False, True, True], [True, True, True], [False] * 3)
    ]
    changes = list(compare_flags(task, ids, choices, taxon=blurred))
    assert [change.detections.tolist() for change in changes] == [
        [others[0].pk],
        [others[1].pk, others[0].pk],
        [],
    ]
    for change in changes:
        current = Classification.objects.filter(detection__in=change.detections, terminal=True)
        assert set(change.superseded.tolist()) == set(current.values_list("pk", flat=True))
        assert change.taxa.tolist() == [blurred.pk] * len(change.detections)
        assert change.scores.tolist() == [1.0] * len(change.detections)
