"""The reader of results of pipelines."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from ami.base.tests.shared import CASES, third_party_files
from ami.exchange.base import ImportRefusedError
from ami.exchange.reading.records import AlgorithmRecord, Item
from ami.exchange.reading.registry import READERS, reader_of
from ami.exchange.tests.reading import (
    SAMPLES,
    detections,
    empty,
    faults,
    items,
    occurrences,
    skipped,
    with_change,
)
from ami.main.models import Classification, SourceImage

KEY = "pipeline_results"
SAMPLE = SAMPLES / f"{KEY}.json"
LABELS = ("Noctua pronuba", "Noctua comes", "Noctua fimbriata")
NET = ("algorithms", "moth-net-3")
DETECTION = ("detections", 0)
MOTH = (*DETECTION, "classifications", 1)

Read = Callable[[Any], list[Item]]


@pytest.fixture
def document() -> Any:
    return json.loads(SAMPLE.read_text())


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(document: Any) -> list[Item]:
        path = tmp_path / "results.json"
        path.write_text(json.dumps(document))
        return list(READERS[KEY].read(path))

    return run


def test_each_detection_is_an_occurrence() -> None:
    found = occurrences(items(SAMPLE, KEY))

    assert [one.place for one in found] == ["detections[0]", "detections[1]", "detections[2]"]
    assert {(one.key, one.label, len(one.detections)) for one in found} == {("", "", 1)}


def test_detections_join_their_captures_by_id() -> None:
    first, second, third = detections(items(SAMPLE, KEY))

    assert first.capture.path == "https://media.example.org/trap/31.jpg"
    assert second.capture == third.capture
    assert second.capture.deployment == "Trap 1"
    assert second.capture.path == "https://media.example.org/trap/32.jpg"
    assert first.capture.timestamp is first.timestamp is None, "only the time of the run is told"


def test_the_time_of_a_capture_is_that_in_its_file_name(document: Any, read: Read) -> None:
    address = "https://media.example.org/trap/84-20220620235800-snapshot.jpg"
    found = read(with_change(document, ("source_images", 0, "url"), address))

    first = detections(found)[0]
    assert first.capture.timestamp == first.timestamp == datetime(2022, 6, 20, 23, 58)


def test_it_reads_the_box_the_crop_and_the_detector() -> None:
    first, second, _ = detections(items(SAMPLE, KEY))

    assert first.bbox == [100.5, 200, 300, 420.25]
    assert (first.crop, second.crop) == ("https://media.example.org/crops/41.jpg", "")
    assert first.algorithm == AlgorithmRecord("Box finder", 2, "localization")


def test_it_reads_classifications_with_their_vectors() -> None:
    binary, moth = detections(items(SAMPLE, KEY))[0].classifications

    assert (binary.label, binary.score, binary.terminal) == ("Moth", 0.875, False)
    assert (binary.scores, binary.logits) == ([0.875, 0.125], None)
    assert (moth.label, moth.score, moth.terminal) == ("Noctua comes", 0.625, True)
    assert (moth.scores, moth.logits) == ([0.25, 0.625, 0.125], [0.5, 1.5, -0.25])
    assert moth.timestamp == datetime(2022, 6, 22, 10, 0, 0, 250000)


def test_labels_are_in_the_order_of_the_scores() -> None:
    algorithm = detections(items(SAMPLE, KEY))[0].classifications[1].algorithm

    assert algorithm == AlgorithmRecord("Moth net", 3, "classification", LABELS, (1793, 1790, None))


def test_the_score_is_that_of_the_name(document: Any, read: Read) -> None:
    found = read(with_change(document, (*MOTH, "classification"), "Noctua pronuba"))

    assert detections(found)[0].classifications[1].score == 0.25


def test_a_picture_without_detections_is_an_empty_capture() -> None:
    assert empty(items(SAMPLE, KEY)) == ["https://media.example.org/trap/33.jpg"]


def test_a_detection_without_a_box_marks_an_empty_capture(document: Any, read: Read) -> None:
    found = read(with_change(document, (*DETECTION, "bbox"), None))

    assert faults(found) == []
    assert len(detections(found)) == 2
    assert "https://media.example.org/trap/31.jpg" in empty(found)


@pytest.mark.parametrize("errors", [["out of memory"], "out of memory"])
def test_errors_of_the_pipeline_are_listed(document: Any, read: Read, errors: Any) -> None:
    found = skipped(read(with_change(document, ("errors",), errors)))

    name = "a picture or a step of the pipeline"
    assert found == [("errors[0]", name, "failed: out of memory")]


def test_labels_may_stand_with_each_classification(document: Any, read: Read) -> None:
    document = with_change(document, (*NET, "category_map"), None)
    algorithm = detections(read(with_change(document, (*MOTH, "labels"), list(LABELS))))[
        0
    ].classifications[1]

    assert algorithm.algorithm == AlgorithmRecord("Moth net", 3, "classification", LABELS)
    assert algorithm.scores == [0.25, 0.625, 0.125]


@pytest.mark.parametrize("value", [{"data": {}, "labels": list(LABELS)}, {"labels": list(LABELS)}])
def test_a_category_map_may_have_labels_only(document: Any, read: Read, value: Any) -> None:
    found = detections(read(with_change(document, (*NET, "category_map"), value)))

    algorithm = found[0].classifications[1].algorithm
    assert algorithm is not None
    assert (algorithm.labels, algorithm.gbif_keys) == (LABELS, ())


def test_vectors_without_labels_are_left_out_and_listed(document: Any, read: Read) -> None:
    found = read(with_change(document, (*NET, "category_map"), None))

    moth = detections(found)[0].classifications[1]
    assert (moth.score, moth.scores, moth.logits) == (0.625, None, None)
    assert skipped(found)[0] == (
        "detections[0].classifications[1].scores",
        "scores and logits of Moth net",
        "have no labels, because the file has no category map of the algorithm",
    )


def test_a_single_score_without_labels_is_that_of_the_name(document: Any, read: Read) -> None:
    document = with_change(document, (*NET, "category_map"), None)
    document = with_change(document, (*MOTH, "scores"), [0.5])
    found = read(with_change(document, (*MOTH, "logits"), []))

    assert detections(found)[0].classifications[1].score == 0.5
    assert not [one for one in skipped(found) if "Moth net" in one[1]]


def test_a_classification_may_have_no_scores(document: Any, read: Read) -> None:
    moth = detections(read(with_change(document, (*MOTH, "scores"), [])))[0].classifications[1]

    assert (moth.score, moth.scores, moth.logits) == (None, None, [0.5, 1.5, -0.25])


def test_an_algorithm_need_not_be_described(document: Any, read: Read) -> None:
    found = detections(read(with_change(document, ("algorithms",), {})))[0]

    assert found.algorithm == AlgorithmRecord("Box finder", 1, "localization")
    assert found.classifications[0].algorithm == AlgorithmRecord("Moth or not", 1, "classification")


FAULTS: list[tuple[tuple[Any, ...], Any, str]] = [
    (("algorithms",), [1], "algorithms: must be an object, got [1]."),
    ((*NET,), 5, "algorithms.moth-net-3: must be an object, got 5."),
    ((*NET, "name"), None, "algorithms.moth-net-3.name: is missing."),
    ((*NET, "version"), -1, "algorithms.moth-net-3.version: must be a whole number of at least 0"),
    ((*NET, "category_map"), [], "algorithms.moth-net-3.category_map: must be an object, got []."),
    ((*NET, "category_map", "labels"), "x", "category_map.labels: must be a list of labels, got"),
    ((*NET, "category_map", "labels", 0), "", "category_map.labels: must be a non-empty text, got"),
    (
        (*NET, "category_map", "labels", 0),
        "Xestia",
        "category_map.labels: differ from the labels of",
    ),
    ((*NET, "category_map", "data"), 3, "category_map.data: must be a list, got 3."),
    ((*NET, "category_map", "data", 0, "index"), 0, "category_map.data: must have each index from"),
    ((*NET, "category_map", "data", 0, "index"), "1", "data[0].index: must be a whole number, got"),
    ((*NET, "category_map", "data", 0, "label"), ..., "category_map.data[0].label: is missing."),
    (
        (*NET, "category_map", "data", 0, "label"),
        LABELS[0],
        "category_map.data: must have each label",
    ),
    (
        (*NET, "category_map", "data", 0, "gbif_key"),
        1.5,
        "data[0].gbif_key: must be a whole number",
    ),
    (("source_images",), ..., "source_images: must be a list of pictures, got null."),
    (("source_images", 0), 5, "source_images[0]: must be an object, got 5."),
    (("source_images", 0, "id"), None, "source_images[0].id: is missing."),
    (("source_images", 0, "url"), "", 'source_images[0].url: must be a non-empty text, got "".'),
    (
        ("source_images", 1, "id"),
        "31",
        "source_images[1].id: occurs twice, with another picture, got",
    ),
    (("detections",), None, "detections: must be a list, which may be empty."),
    (("detections",), {"a": []}, "detections: must be a list, which may be empty."),
    (DETECTION, "x", 'detections[0]: must be an object, got "x".'),
    (
        (*DETECTION, "source_image_id"),
        "9",
        "detections[0].source_image_id: must be an id of source_",
    ),
    ((*DETECTION, "source_image_id"), ..., "detections[0].source_image_id: is missing."),
    (
        (*DETECTION, "bbox"),
        [1, 2, 3, 4],
        "detections[0].bbox: must be an object, got [1, 2, 3, 4].",
    ),
    ((*DETECTION, "bbox", "x2"), None, "detections[0].bbox.x2: is missing."),
    (
        (*DETECTION, "bbox", "x2"),
        "3",
        "detections[0].bbox.x2: must be a finite number of pixels, got",
    ),
    ((*DETECTION, "algorithm"), {"name": 5}, "detections[0].algorithm.name: must be a non-empty"),
    ((*DETECTION, "crop_image_url"), 5, "detections[0].crop_image_url: must be a non-empty text"),
    ((*DETECTION, "classifications"), 5, "detections[0].classifications: must be a list, got 5."),
    ((*MOTH, "classification"), ..., "classifications[1].classification: is missing."),
    ((*MOTH, "classification"), "Xestia", "classification: must be a label of 'Moth net', got"),
    (
        (*MOTH, "algorithm"),
        None,
        "classifications[1].algorithm: is missing; a classification needs",
    ),
    (
        (*MOTH, "labels"),
        ["a", "b"],
        "labels: differ from the labels of 'Moth net', version 3, before",
    ),
    (
        (*MOTH, "scores"),
        [0.5, 0.5],
        "scores: must have one number for each of the 3 labels of 'Moth",
    ),
    ((*MOTH, "scores"), [0.5, 0.5, 7], "classifications[1].scores: must have numbers from 0 to 1"),
    ((*MOTH, "scores"), [0.5, "0", 0], "classifications[1].scores: must be a list of numbers, got"),
    (
        (*MOTH, "scores"),
        [0.5, True, 0],
        "classifications[1].scores: must be a list of numbers, got",
    ),
    ((*MOTH, "scores"), 0.5, "classifications[1].scores: must be a list of numbers, got 0.5."),
    (
        (*MOTH, "logits"),
        [1.0],
        "logits: must have one number for each of the 3 labels of 'Moth net'",
    ),
    ((*MOTH, "timestamp"), "now", "classifications[1].timestamp: must be a time, such as"),
    ((*MOTH, "terminal"), "yes", 'classifications[1].terminal: must be true or false, got "yes".'),
]


@pytest.mark.parametrize(("path", "value", "fault"), FAULTS)
def test_bad_input_is_a_fault_with_its_place(
    document: Any, read: Read, path: tuple[Any, ...], value: Any, fault: str
) -> None:
    told = faults(read(with_change(document, path, value)))

    assert fault in "\n".join(told)


def test_reading_goes_on_after_a_fault(document: Any, read: Read) -> None:
    found = read(with_change(document, (*DETECTION, "bbox", "x1"), "a"))

    assert len(faults(found)) == 1
    assert len(detections(found)) == 2


def test_results_behind_a_long_category_map_are_recognised(document: Any, tmp_path: Path) -> None:
    long = {"labels": [f"Species {number}" for number in range(40_000)]}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(with_change(document, (*NET, "category_map"), long)))

    assert reader_of(path).key == KEY


def test_detections_are_read_one_at_a_time(document: Any, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document).partition(', "errors"')[0])
    found = READERS[KEY].read(path)

    assert [next(found).place for _ in range(3)] == [f"detections[{one}]" for one in range(3)]
    with pytest.raises(ImportRefusedError, match="is not JSON"):
        next(found)


results_of_today = third_party_files(CASES / "17-export-of-today/o34_pipeline_results.json")


def test_results_of_today_are_read(results_of_today: Path) -> None:
    [one] = detections(items(results_of_today, KEY))

    assert one.capture.path == "http://x/a.jpg"
    assert one.bbox == [1, 2, 3, 4]


@pytest.mark.django_db
def test_vectors_are_imported_with_their_labels() -> None:
    call_command("import_occurrences", str(SAMPLE), "--project=Vermont", "--deployment=Trap 1")

    moth = Classification.objects.get(taxon__name="Noctua comes")
    assert (moth.scores, moth.logits) == ([0.25, 0.625, 0.125], [0.5, 1.5, -0.25])
    assert moth.category_map is not None
    assert tuple(moth.category_map.labels) == LABELS
    assert moth.category_map.data[0]["gbif_key"] == 1793
    detector = moth.detection.detection_algorithm
    assert detector is not None
    assert detector.task_type == "localization"
    assert SourceImage.objects.count() == 3
