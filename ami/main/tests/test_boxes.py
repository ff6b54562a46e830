"""Boxes as used by code that was written for Antenna."""

from typing import Any

import pytest

from ami.base.tests.factories import make_detection
from ami.main.checks.invalid_box import get_detections_with_invalid_box
from ami.main.models import Detection
from ami.ml.schemas import BoundingBox

NO_BOXES: list[Any] = [
    None,
    [],
    [1, 2, 3],
    [1, 2, 3, 4, 5],
    [1, 2, None, 4],
    [1, 2, "wide", 4],
    [1, 2, float("nan"), 4],
    [1, 2, float("inf"), 4],
    [3, 2, 1, 4],
    [1, 2, 3, 2],
]


def test_box_knows_its_corners_and_sides() -> None:
    box = BoundingBox.from_coords([1, 2, 4.5, 8])
    assert box == BoundingBox(x1=1, y1=2, x2=4.5, y2=8)
    assert (box.x1, box.y1, box.x2, box.y2) == (1, 2, 4.5, 8)
    assert (box.width, box.height) == (3.5, 6)


@pytest.mark.parametrize("coords", NO_BOXES, ids=str)
def test_what_is_no_box_is_refused_or_none(coords: Any) -> None:
    with pytest.raises(ValueError, match=r"four|float|none|below"):
        BoundingBox.from_coords(coords)
    assert BoundingBox.from_coords(coords, raise_on_error=False) is None


@pytest.mark.django_db
def test_detection_has_a_box_where_the_check_finds_a_sound_one() -> None:
    for coords in [[1, 2, 4.5, 8], *(box for box in NO_BOXES if box is None or "wide" not in box)]:
        make_detection(bbox=coords)
    invalid = set(get_detections_with_invalid_box())
    for detection in Detection.objects.all():
        is_sound = detection.bbox is not None and detection not in invalid
        assert bool(detection.get_bbox()) == is_sound
    assert len(invalid) == 8
