"""COCO Camera Traps."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ami.exchange.base import ImportRefusedError
from ami.exchange.reading.records import (
    AlgorithmRecord,
    ClassificationRecord,
    IdentificationRecord,
    Item,
)
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

PATH = SAMPLES / "coco_camera_traps.json"
SAMPLE = json.loads(PATH.read_text())


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Item]]:
    def read_with(*path: Any, value: Any = ..., document: Any = SAMPLE) -> list[Item]:
        file = tmp_path / "captures.json"
        file.write_text(json.dumps(with_change(document, path, value) if path else document))
        return items(file, "coco_camera_traps")

    return read_with


def test_boxes_are_read_in_pixels_or_as_shares() -> None:
    found = items(PATH, "coco_camera_traps")
    assert not faults(found)
    assert [(one.bbox, one.fractions) for one in detections(found)[:3]] == [
        ([100, 50.5, 400, 250.5], False),
        ([1000.25, 20, 1040.25, 50.5], False),
        (pytest.approx([0.1, 0.2, 0.35, 0.7]), True),
    ]


def test_names_are_of_people_unless_they_have_a_score() -> None:
    first, _, third, fourth = occurrences(items(PATH, "coco_camera_traps"))
    assert first.identifications == [IdentificationRecord("Noctua pronuba")]
    assert not first.detections[0].classifications
    assert third.detections[0].classifications == [ClassificationRecord("Noctua pronuba", 0.8)]
    assert not third.identifications
    assert fourth.identifications == [IdentificationRecord("Actias luna", "Ada")]
    assert (fourth.key, len(fourth.detections)) == ("s1/m", 2)


def test_captures_have_place_time_and_size() -> None:
    found = items(PATH, "coco_camera_traps")
    first, second = (detection.capture for detection in detections(found)[1:3])
    assert (first.deployment, first.path, first.width) == ("12", "garden/1.jpg", 4096)
    assert first.timestamp == datetime(2022, 6, 20, 23)
    assert second.path == "garden/2.jpg"
    assert second.timestamp == datetime(2022, 6, 20, 23, 1, 0, 500_000)
    assert empty(found) == ["garden/3.jpg"]


def test_what_cannot_be_kept_is_skipped() -> None:
    assert skipped(items(PATH, "coco_camera_traps")) == [
        ("annotations[5]", "Human", "is not an animal"),
        ("annotations[4]", "Noctua pronuba", "has no box, without which nothing is imported"),
        ("images[4]", "garden/5.jpg", "has no annotation"),
    ]


def test_order_of_the_lists_does_not_matter(read: Callable[..., list[Item]]) -> None:
    turned = {key: SAMPLE[key] for key in ("images", "categories", "annotations")}
    assert read(document=turned) == items(PATH, "coco_camera_traps")


def test_individual_of_another_place_is_another_occurrence(
    read: Callable[..., list[Item]],
) -> None:
    found = occurrences(read("images", 1, "location", value="wood"))
    assert [one.key for one in found] == ["", "", "", "s1/m", "s1/m"]


def test_names_of_one_box_are_together(read: Callable[..., list[Item]]) -> None:
    more = [
        {"id": 20, "image_id": "i1", "category_id": 7, "bbox": [100, 50.5, 300, 200]},
        {"id": 21, "image_id": "i1", "category_id": 7, "bbox": [100, 50.5, 300, 200]}
        | {"algorithm": "Moth net", "score": None},
    ]
    found = read("annotations", value=SAMPLE["annotations"] + more)
    first = occurrences(found)[0]
    assert [one.label for one in first.identifications] == ["Noctua pronuba", "Actias luna"]
    assert [one.classifications for one in first.detections] == [
        [ClassificationRecord("Actias luna", None, AlgorithmRecord("Moth net"))]
    ]


@pytest.mark.parametrize("name", ["animal", "Unnamed"])
def test_word_for_any_animal_is_no_name(read: Callable[..., list[Item]], name: str) -> None:
    first = occurrences(read("categories", 1, "name", value=name))[0]
    assert not first.identifications
    assert not first.detections[0].classifications


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("images", 0), "a.jpg", 'images[0]: must be an object, got "a.jpg".'),
        (("images", 0, "id"), ..., "images[0].id: is missing."),
        (("images", 1, "id"), "i1", 'images[1].id: occurs twice, got "i1".'),
        (("images", 0, "file_name"), "", "images[0].file_name: must be a non-empty text"),
        (("images", 0, "datetime"), "11:57 12/10/2011", "images[0].datetime: must be a time"),
        (("images", 0, "width"), "wide", "images[0].width: must be a whole number of pixels"),
        (("annotations", 0, "image_id"), "i9", 'image_id: must be the id of an image, got "i9".'),
        (("annotations", 0, "image_id"), ..., "annotations[0].image_id: is missing."),
        (("annotations", 0, "category_id"), 5, 'must be the id of a category, got "5".'),
        (("annotations", 0, "bbox"), [1, 2, 3], "annotations[0].bbox: must be four finite numbers"),
        (("annotations", 0, "bbox"), [1, 2, 0, 3], "must have a width and a height above 0"),
        (("annotations", 0, "bbox"), "full", "annotations[0].bbox: must be four finite numbers"),
        (("annotations", 2, "bbox_relative"), [10, 2, 3, 4], "must lie within 0 and 1"),
        (("annotations", 2, "score"), 7, "annotations[2].score: must be a number from 0 to 1"),
        (("categories", 1, "name"), " ", "categories[1].name: must be a non-empty text"),
    ],
)
def test_each_fault_is_told_with_its_place(
    read: Callable[..., list[Item]], path: tuple[Any, ...], value: Any, fault: str
) -> None:
    found = read(*path, value=value)
    assert fault in "\n".join(faults(found))
    assert occurrences(found), "reading goes on"


def test_document_without_images_is_refused(read: Callable[..., list[Item]]) -> None:
    with pytest.raises(ImportRefusedError, match="at least one image as images"):
        read("images", value=[])
