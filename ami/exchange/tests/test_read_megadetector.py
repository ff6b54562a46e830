"""Results of MegaDetector."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ami.exchange.base import ImportRefusedError
from ami.exchange.reading.records import AlgorithmRecord, ClassificationRecord, Item
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

SAMPLE = json.loads((SAMPLES / "megadetector.json").read_text())
FIRST = ("images", 0, "detections", 0)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Item]]:
    def read_with(*path: Any, value: Any = ...) -> list[Item]:
        file = tmp_path / "results.json"
        file.write_text(json.dumps(with_change(SAMPLE, path, value) if path else SAMPLE))
        return items(file, "megadetector")

    return read_with


def test_boxes_scores_and_names_are_read() -> None:
    found = items(SAMPLES / "megadetector.json", "megadetector")
    assert not faults(found)
    first, second, third = detections(found)
    assert first.bbox == pytest.approx([0.1, 0.2, 0.35, 0.7])
    assert first.fractions
    assert (first.score, first.algorithm) == (
        0.93,
        AlgorithmRecord("md_v5a.0.0.pt", task_type="detection"),
    )
    assert first.classifications == [
        ClassificationRecord("Actias luna", 0.9, AlgorithmRecord("moth_net_v2.pt"))
    ]
    assert (second.classifications, second.bbox) == ([], [0.5, 0.5, 1.0, 0.75])
    assert [(one.label, one.score) for one in third.classifications] == [("Lepidoptera", 0.5)]
    assert third.classifications[0].algorithm == first.algorithm
    assert {one.key for one in occurrences(found)} == {""}


def test_captures_have_what_the_file_says() -> None:
    found = items(SAMPLES / "megadetector.json", "megadetector")
    first, _, other = (detection.capture for detection in detections(found))
    assert (first.path, first.width, first.height) == ("trap-1/a.jpg", 4096, 2160)
    assert (first.timestamp, first.deployment) == (datetime(2022, 6, 21, 23, 23), "")
    assert (other.path, other.timestamp) == ("trap-1/b.jpg", datetime(2022, 6, 21, 23, 24))
    assert empty(found) == ["trap-1/c.jpg"]


def test_what_is_no_animal_on_a_picture_is_skipped() -> None:
    found = items(SAMPLES / "megadetector.json", "megadetector")
    assert skipped(found) == [
        ("images[0].detections[2]", "person", "is not an animal"),
        ("images[0].detections[3]", "9", "is not one of the file's detection_categories"),
        ("images[3]", "trap-1/d.jpg", 'was not processed: "Failure image access"'),
        ("images[4]", "trap-1/e.mp4", "is not a picture, and only pictures are imported"),
    ]


def test_best_of_several_classes_counts_in_any_order(read: Callable[..., list[Item]]) -> None:
    found = read(*FIRST, "classifications", value=[["7", 0.1], ["0", 0.8]])
    assert [(one.label, one.score) for one in detections(found)[0].classifications] == [
        ("Noctua pronuba", 0.8)
    ]


def test_old_file_without_info_and_categories_is_read(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    image = {"file": "a.jpg", "max_detection_conf": 0.9, "detections": []}
    image["detections"] = [{"category": "1", "conf": 0.9, "bbox": [0, 0, 0.5, 0.5]}]
    file.write_text(json.dumps({"images": [image]}))
    (detection,) = detections(items(file, "megadetector"))
    assert (detection.bbox, detection.algorithm) == ([0, 0, 0.5, 0.5], None)


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("images", 2), 7, "images[2]: must be an object, got 7."),
        (("images", 2, "file"), ..., "images[2].file: is missing."),
        (
            ("images", 2, "file"),
            " ",
            'images[2].file: must be a non-empty text, got " ".',
        ),
        (
            ("images", 2, "detections"),
            ...,
            "images[2].detections: must be a list, which is empty without detections.",
        ),
        (("images", 2, "detections"), {"a": 1}, "images[2].detections: must be a list, got"),
        (("images", 0, "datetime"), "soon", "images[0].datetime: must be a time"),
        (("images", 0, "width"), 0, "images[0].width: must be a whole number of pixels above 0"),
        ((*FIRST, "conf"), 1.5, "images[0].detections[0].conf: must be a number from 0 to 1"),
        ((*FIRST, "conf"), ..., "images[0].detections[0].conf: is missing."),
        ((*FIRST, "bbox"), [0, 0, 1], "images[0].detections[0].bbox: must be four finite"),
        ((*FIRST, "bbox"), [0, 0, 0, 1], "must have a width and a height above 0, got [0, 0, 0"),
        ((*FIRST, "bbox"), [10, 10, 90, 90], "must lie within 0 and 1: x, y, width, height in"),
        ((*FIRST, "classifications"), ["7"], "must be a list such as"),
        ((*FIRST, "classifications"), [["8", 0.5]], 'classification_categories, got "8".'),
        (("classification_categories", "7"), " ", 'classification_categories, got "7".'),
    ],
)
def test_each_fault_is_told_with_its_place(
    read: Callable[..., list[Item]], path: tuple[Any, ...], value: Any, fault: str
) -> None:
    found = read(*path, value=value)
    (told,) = faults(found)
    assert fault in told
    assert occurrences(found), "reading goes on"


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("images",), [], "must contain a list of at least one image as images"),
        (("info",), [1], "info must be an object, got"),
        (("info", "detector"), "x" * 300, "info: the name of an algorithm must be at most 255"),
        (("detection_categories",), "animal", "detection_categories must be an object"),
    ],
)
def test_file_that_cannot_be_read_is_refused(
    read: Callable[..., list[Item]], path: tuple[Any, ...], value: Any, sentence: str
) -> None:
    with pytest.raises(ImportRefusedError, match=sentence):
        read(*path, value=value)


@pytest.mark.parametrize("name", [None, "", "unknown", "see the database"])
def test_algorithm_without_a_name_is_none(read: Callable[..., list[Item]], name: Any) -> None:
    assert detections(read("info", "detector", value=name))[0].algorithm is None
