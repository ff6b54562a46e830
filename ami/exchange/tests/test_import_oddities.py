"""What integrity checks find after an import is in its plan."""

from collections.abc import Callable
from typing import Any

import pytest

from ami.exchange.tests.present import classification, detection, occurrence
from ami.main.checks.box_in_fractions import get_detections_with_box_in_fractions
from ami.main.checks.box_outside_frame import get_detections_outside_frame
from ami.main.checks.broken_lineage import get_classifications_with_broken_lineage
from ami.main.checks.invalid_box import get_detections_with_invalid_box
from ami.main.checks.several_terminal import get_classifications_left_terminal
from ami.main.checks.split_occurrence import get_split_occurrences
from ami.main.models import Classification, Detection

pytestmark = pytest.mark.django_db
Import = Callable[..., str]
NO_AREA = "has no area, because x1 must be less than x2, and y1 less than y2"
SMALL = "is smaller than a pixel, as if its numbers were shares of the capture"
BEYOND = "extends beyond the capture of 4096 x 2160 pixels"


@pytest.mark.parametrize(
    ("box", "told", "found"),
    [
        ([50, 20, 40, 60], NO_AREA, get_detections_with_invalid_box),
        ([50, 60, 90, 20], NO_AREA, get_detections_with_invalid_box),
        ([50, 60, 50, 60], NO_AREA, get_detections_with_invalid_box),
        ([0.25, 0.5, 0.75, 1], SMALL, get_detections_with_box_in_fractions),
        ([7.25, 7.5, 7.75, 8], SMALL, get_detections_with_box_in_fractions),
        ([-2, 0, 50, 50], BEYOND, get_detections_outside_frame),
        ([0, -2, 50, 50], BEYOND, get_detections_outside_frame),
        ([4000, 0, 4098, 50], BEYOND, get_detections_outside_frame),
        ([0, 2000, 50, 2162], BEYOND, get_detections_outside_frame),
    ],
)
def test_an_odd_box_is_told_as_the_checks_find_it(
    import_export: Import, box: list[float], told: str, found: Callable[..., Any]
) -> None:
    data = [occurrence(detections=[detection(bbox=box)]), occurrence(2)]
    text = import_export(data)

    shown = ", ".join(f"{number:g}" for number in box)
    assert "Contradictions: 1 detection.\n" in text
    assert f"  [0].detections[0]: The box {shown} on capture 'night/0.jpg' {told}.\n" in text
    assert list(found()) == [Detection.objects.get(bbox=box)]
    assert "already contains all rows" in import_export(data)


@pytest.mark.parametrize("box", [[-1, -1, 50, 50], [4000, 2000, 4097, 2161], [0, 0, 1, 900]])
def test_a_sound_box_is_not_told(import_export: Import, box: list[float]) -> None:
    data = [occurrence(detections=[detection(bbox=box)]), occurrence(2)]

    assert "Contradictions" not in import_export(data)


def test_several_final_results_are_told(import_export: Import) -> None:
    several = [
        classification(1),
        classification(2, "Actias selene"),
        classification(3, terminal=False),
    ]
    text = import_export([occurrence(detections=[detection(1, classifications=several)])])

    assert (
        "  [0].detections[0]: The detection has 2 final results of algorithm 'Moth', version 1; "
        "only one can be final. The integrity check several_terminal repairs it.\n"
    ) in text
    assert get_classifications_left_terminal().count() == 1
    assert Classification.objects.count() == 3


def test_sources_that_make_no_lineage_are_told_and_dropped(import_export: Import) -> None:
    masked = {"algorithm": {"name": "Masking"}}
    one = detection(
        1,
        classifications=[
            classification(1, terminal=False, applied_to=2),
            classification(2, "Actias selene", applied_to=1, **masked),
        ],
    )
    two = detection(2, classifications=[classification(3, applied_to=1)])
    text = import_export([occurrence(1, detections=[one]), occurrence(2, detections=[two])])

    end = "It is imported without its source.\n"
    assert f"Classification 1 is derived from 2, which is itself derived from it. {end}" in text
    told = "Classification 3 is derived from 1, which is not a classification of the same detection"
    assert f"  [1].detections[0]: {told}. {end}" in text
    assert not get_classifications_with_broken_lineage().exists()
    derived = Classification.objects.get(taxon__name="Actias selene")
    assert derived.applied_to == Classification.objects.get(terminal=False)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (detection(2), "several detections on one capture"),
        (
            detection(
                2,
                timestamp="2022-08-20T23:00:00",
                capture={"path": "night/1.jpg", "width": 4096, "height": 2160},
            ),
            "detections in several nights",
        ),
    ],
)
def test_an_occurrence_that_cannot_be_one_individual_is_told(
    import_export: Import, other: dict[str, Any], told: str
) -> None:
    text = import_export([occurrence(7, detections=[detection(1), other])])

    assert f"  [0]: Occurrence 7 has {told}, so it cannot be one individual.\n" in text
    assert get_split_occurrences().count() == 1
