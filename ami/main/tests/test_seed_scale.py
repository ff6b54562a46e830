import math
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count

from ami.base.tests.factories import make_occurrence
from ami.main.determinations import update_determinations
from ami.main.management.scale import Sizes, seed
from ami.main.models import (
    Classification,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    Taxon,
)

SIZES = Sizes(
    captures=250,
    occurrences=1_000,
    detections=1_150,
    classifications=1_800,
    identifications=50,
    taxa=30,
)


@pytest.fixture
def seeded(db: None) -> None:
    seed(SIZES, report=lambda line: None)


@pytest.mark.django_db(transaction=True)
def test_command_reports_each_step_and_refuses_a_second_time() -> None:
    options = {"scale": 0.001, "stdout": (out := StringIO())}
    call_command("seed_scale", **options)
    assert Occurrence.objects.count() == 1_300
    assert "determinations" in out.getvalue()
    with pytest.raises(CommandError, match="already contains occurrences; use an empty one"):
        call_command("seed_scale", **options)
    assert Occurrence.objects.count() == 1_300
    call_command("seed_scale", force=True, **options)
    assert Occurrence.objects.count() == 2_600


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0}, "captures must be at least 1, got 0."),
        ({"detections": 5}, "detections must be at least 1300000, got 5."),
        ({"classifications": 9_000_000}, "classifications must be at most 2800000, got 9000000."),
    ],
)
def test_sizes_that_do_not_fit_are_refused(db: None, options: dict[str, int], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("seed_scale", **options)
    assert not Project.objects.exists()


def test_sizes_are_exact(seeded: None) -> None:
    assert SourceImage.objects.count() == 250
    assert Taxon.objects.count() == 100 + 30
    assert Taxon.objects.exclude(search_names=[]).count() == 10
    assert Occurrence.objects.count() == 1_000
    assert Detection.objects.count() == 1_150
    assert Classification.objects.count() == 1_800
    assert Identification.objects.count() == 50


def test_every_occurrence_is_detected_in_its_own_night(seeded: None) -> None:
    tracks = Occurrence.objects.annotate(frames=Count("detections"))
    captures = Occurrence.objects.annotate(frames=Count("detections__source_image", distinct=True))
    frames = list(tracks.order_by("pk").values_list("frames", flat=True))
    assert min(frames) == 1
    assert max(frames) == 20
    assert list(captures.order_by("pk").values_list("frames", flat=True)) == frames
    for detection in Detection.objects.select_related("source_image", "occurrence"):
        assert detection.occurrence is not None
        assert detection.source_image.event_id == detection.occurrence.event_id


def test_a_tenth_of_the_boxes_is_too_small(seeded: None) -> None:
    small = 0
    for box in Detection.objects.values_list("bbox", flat=True):
        assert box is not None
        x1, y1, x2, y2 = box
        assert 0 <= x1 < x2 <= 4096
        assert 0 <= y1 < y2 <= 2160
        small += (x2 - x1) * (y2 - y1) / (4096 * 2160) < 0.0008
    assert small == math.ceil((1_150 - 7) / 10)


def test_each_detection_has_one_terminal_classification(seeded: None) -> None:
    assert Classification.objects.filter(terminal=True).count() == 1_150
    superseding = Classification.objects.filter(applied_to__isnull=False)
    assert superseding.count() == 650
    for row in superseding.select_related("applied_to"):
        assert row.applied_to is not None
        assert row.terminal
        assert row.job_id
        assert not row.applied_to.terminal
        assert row.applied_to.detection_id == row.detection_id


def test_determinations_and_counts_are_right_already(seeded: None) -> None:
    assert not Occurrence.objects.filter(determination=None).exists()
    assert update_determinations(Occurrence.objects.values_list("pk", flat=True)) == []
    assert list(Event.objects.order_by("pk").values_list("captures_count", flat=True)) == [
        100,
        100,
        50,
    ]
    assert sum(SourceImage.objects.values_list("detections_count", flat=True)) == 1_150


def test_capture_sets_hold_a_night_a_deployment_or_a_project(seeded: None) -> None:
    sets = SourceImageCollection.objects.annotate(size=Count("images")).order_by("pk")
    assert list(sets.values_list("size", flat=True)) == [100, 100, 50, 250, 250]


def test_later_rows_get_ids_of_their_own(seeded: None) -> None:
    last = Occurrence.objects.latest("pk").pk
    assert make_occurrence().pk == last + 1
