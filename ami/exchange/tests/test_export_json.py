"""MegaDetector's results and COCO Camera Traps."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ami.base.tests.factories import make_capture, make_detection
from ami.exchange.export.formats import coco_camera_traps, megadetector
from ami.exchange.tests.export_world import World, csv_rows, exported
from ami.main.models import Detection

pytestmark = pytest.mark.django_db

SHARE = {"type": "number", "minimum": 0, "maximum": 1}
MEGADETECTOR = {
    "required": ["info", "detection_categories", "images"],
    "properties": {
        "info": {
            "required": ["format_version"],
            "properties": {"format_version": {"const": "1.6"}},
        },
        "images": {
            "items": {
                "required": ["file", "detections"],
                "properties": {
                    "file": {"type": "string", "minLength": 1},
                    "detections": {
                        "items": {
                            "required": ["category", "conf", "bbox"],
                            "properties": {
                                "category": {"const": "1"},
                                "conf": SHARE,
                                "bbox": {"minItems": 4, "maxItems": 4, "items": SHARE},
                                "classifications": {
                                    "items": {"prefixItems": [{"type": "string"}, SHARE]}
                                },
                            },
                        }
                    },
                },
            }
        },
        "classification_category_descriptions": {
            "additionalProperties": {"pattern": "^([^;]*;){6}[^;]*$"}
        },
    },
}
NUMBERS = {"minItems": 4, "maxItems": 4, "items": {"type": "number", "minimum": 0}}
COCO = {
    "required": ["info", "images", "categories", "annotations"],
    "properties": {
        "images": {
            "items": {
                "required": ["id", "file_name"],
                "properties": {
                    "id": {"type": "string"},
                    "width": {"type": "integer"},
                    "datetime": {"pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"},
                    "frame_num": {"type": "integer"},
                },
            }
        },
        "categories": {
            "items": {
                "required": ["id", "name"],
                "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
            }
        },
        "annotations": {
            "items": {
                "required": ["id", "image_id", "category_id"],
                "properties": {"bbox": NUMBERS, "bbox_relative": NUMBERS},
            }
        },
    },
}
SCHEMAS = {"megadetector": MEGADETECTOR, "coco_camera_traps": COCO}


@pytest.fixture
def world() -> World:
    return World()


def read(key: str, world: World, folder: Path) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """The document, which must be valid, and the ids of each problem."""
    written = exported(key, world.scope, folder)
    document = json.loads(written.path.read_text())
    jsonschema.validate(document, SCHEMAS[key])
    problems: dict[str, list[int]] = {}
    for row in csv_rows(written.problems_path) if written.problems_path else []:
        problems.setdefault(row["problem"], []).append(int(row["id"]))
    return document, problems


def test_megadetector_carries_boxes_and_names(world: World, tmp_path: Path) -> None:
    document, problems = read("megadetector", world, tmp_path)
    first, second = document["images"]
    assert (first["file"], first["datetime"]) == ("night/a.jpg", "2022-06-20 19:00:00")
    assert (first["width"], first["height"]) == (1000, 1000)
    assert first["detections"][0] == {
        "category": "1",
        "conf": 0.7,
        "bbox": [0.1, 0.1, 0.1, 0.1],
        "classifications": [[str(world.human.pk), 1.0], [str(world.machine.pk), 0.8]],
    }
    assert first["detections"][1]["classifications"] == [[str(world.machine.pk), 0.6]]
    assert len(second["detections"]) == 1
    assert document["classification_categories"][str(world.human.pk)] == "Acronicta impleta"
    assert document["classification_category_descriptions"][str(world.human.pk)] == (
        ";;;;noctuidae;acronicta;acronicta impleta"
    )
    assert list(problems) == [megadetector.PERSON]


def test_megadetector_lists_what_it_cannot_carry(world: World, tmp_path: Path) -> None:
    unsized = make_capture(deployment=world.deployment, width=None)
    make_detection(source_image=unsized)
    empty = make_capture(deployment=world.deployment, width=None, timestamp=None)
    unscored = make_detection(source_image=world.captures[0])
    document, problems = read("megadetector", world, tmp_path)
    assert [image["file"] for image in document["images"]][2:] == [empty.path]
    assert problems[megadetector.NO_SCORE] == [unscored.pk]
    assert problems["The detections of a capture without a size are left out"] == [unsized.pk]


def test_coco_carries_sequences_and_annotations(world: World, tmp_path: Path) -> None:
    empty = make_capture(deployment=world.deployment, event=world.night)
    document, problems = read("coco_camera_traps", world, tmp_path)
    assert document["images"][1] == {
        "id": str(world.captures[1].pk),
        "file_name": "night/b.jpg",
        "width": 1000,
        "height": 1000,
        "datetime": "2022-06-20 19:00:00",
        "location": str(world.deployment.pk),
        "location_name": "Trap 1",
        "seq_id": str(world.night.pk),
        "seq_num_frames": 3,
        "frame_num": 1,
    }
    first, *_, last = document["annotations"]
    assert first["bbox"] == [100, 100, 100, 100]
    assert (first["category_id"], first["annotator"], first["independent"]) == (
        world.human.pk,
        "Ada",
        False,
    )
    assert (last["category_id"], last["image_id"]) == (0, str(empty.pk))
    assert document["categories"] == [
        {"id": 0, "name": "empty", "count": 1},
        {"id": world.machine.pk, "name": "Acronicta rumicis", "count": 1},
        {"id": world.human.pk, "name": "Acronicta impleta", "count": 2},
    ]
    assert not problems


def test_coco_lists_what_it_cannot_carry(world: World, tmp_path: Path) -> None:
    unnamed = make_detection(source_image=world.captures[0])
    boxless = make_detection(source_image=world.captures[0], bbox=[5, 5, 5, 9])
    document, problems = read("coco_camera_traps", world, tmp_path)
    assert problems == {
        coco_camera_traps.NO_NAME: [unnamed.pk],
        "A detection without a valid box is left out": [boxless.pk],
    }
    assert len(document["annotations"]) == Detection.objects.count() - 1
