"""The pages of captures, nights and detections: frames, boxes, areas, strips and tracks."""

import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.main.admin import frames, nights
from ami.main.admin.areas import BINS, bin_of, histogram, relative_area
from ami.main.admin.classes import compare, top_classes
from ami.main.admin.frames import BY_STATE, captures_beside, frame_of
from ami.main.admin.nights import THINNEST, WIDTH, strip_of, tracks_of
from ami.main.models import Event, Identification, Occurrence, SourceImage
from ami.main.pictures import ORIENTATION
from ami.ml.models import AlgorithmCategoryMap

pytestmark = pytest.mark.django_db


def page(client: Client, row: Any, **query: str) -> str:
    name = f"admin:main_{row._meta.model_name}_change"
    return client.get(reverse(name, args=[row.pk]), query).text


def named(capture: SourceImage, name: str | None, **fields: Any) -> Occurrence:
    """Add a detection to the capture whose occurrence has this name."""
    taxon = make_taxon(name=name, **fields) if name else None
    occurrence = make_occurrence(deployment=capture.deployment, determination=taxon)
    Occurrence.objects.filter(pk=occurrence.pk).update(determination=taxon)
    make_detection(source_image=capture, occurrence=occurrence)
    return occurrence


class TestFrame:
    @pytest.fixture
    def capture(self) -> SourceImage:
        capture = make_capture()
        Identification.objects.create(
            occurrence=named(capture, "Zale"), taxon=make_taxon(name="Zale lunata")
        )
        named(capture, None)
        named(capture, "Not identifiable", identifiable=False)
        common = named(capture, "Actias luna")
        make_detection(source_image=capture, occurrence=common)
        make_detection(source_image=capture)
        make_detection(source_image=capture, occurrence=common, bbox=[1, 2, float("nan"), 4])
        return capture

    def legend(self, capture: SourceImage, colour: str) -> dict[str, tuple[int, int]]:
        frame = frame_of(capture, capture.detections.all(), colour=colour)
        return {group.name: (group.tone, group.number) for group in frame.legend}

    def test_boxes_are_coloured_by_taxon_the_most_frequent_first(
        self, capture: SourceImage
    ) -> None:
        legend = self.legend(capture, "taxon")
        assert legend.pop("Actias luna") == (0, 3)
        assert legend.pop("no name") == (1, 2)
        assert sorted(number for _, number in legend.values()) == [1, 1]

    def test_boxes_are_coloured_by_state(self, capture: SourceImage) -> None:
        assert self.legend(capture, BY_STATE) == {
            "identified": (0, 1),
            "named": (1, 3),
            "not identifiable": (2, 1),
            "without a name": (3, 1),
            "without an occurrence": (4, 1),
        }

    def test_rare_taxa_share_a_colour(self) -> None:
        capture = make_capture()
        for number in range(frames.TONES + 2):
            named(capture, f"Taxon {number}")
        tones = Counter(tone for tone, _ in self.legend(capture, "taxon").values())
        assert tones == dict.fromkeys(range(frames.TONES), 1) | {frames.TONES: 2}

    def test_each_box_is_numbered_and_links_to_its_detection(
        self, admin_client: Client, capture: SourceImage
    ) -> None:
        text = page(admin_client, capture)
        boxes = re.findall(r'<a href="(\S+)" class="tone-\d" .*?<text [^>]*>(\d+)</text>', text)
        ids = capture.detections.order_by("pk").values_list("pk", flat=True)
        assert boxes == [
            (reverse("admin:main_detection_change", args=[pk]), str(number))
            for number, pk in enumerate(list(ids)[:-1], start=1)
        ]
        assert f'Without a box that can be drawn: <a href="/admin/main/detection/{ids[6]}' in text
        assert 'href="?colour=state"' in text
        assert "without an occurrence</bdi> (1)" in page(admin_client, capture, colour="state")

    def test_a_frame_without_a_size_says_so(self, admin_client: Client) -> None:
        text = page(admin_client, make_capture(width=None))
        assert "its width or height is not known. Enter both below." in text

    @pytest.mark.parametrize(
        ("orientation", "box"),
        [
            (6, (50, 10, 60, 50)),
            (8, (20, 50, 30, 90)),
            (3, (10, 20, 50, 30)),
            (1, (10, 20, 50, 30)),
        ],
    )
    def test_a_portrait_is_upright_with_its_boxes_in_place(
        self, admin_client: Client, media_root: Path, orientation: int, box: tuple[int, ...]
    ) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        capture = make_capture(width=100, height=80)
        Image.new("RGB", (100, 80)).save(media_root / capture.path, exif=exif)
        detection = make_detection(source_image=capture, bbox=[10, 20, 50, 30])
        (drawn,) = frame_of(capture, capture.detections.all()).boxes
        assert (drawn.box.x1, drawn.box.y1, drawn.box.x2, drawn.box.y2) == box
        size = "80 100" if orientation in {6, 8} else "100 80"
        for row in (capture, detection):
            assert f'viewBox="0 0 {size}"' in page(admin_client, row)

    def test_the_page_is_bounded(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        capture = make_capture()
        for _ in range(3):
            named(capture, None)
        with CaptureQueriesContext(connection) as few:
            page(admin_client, capture)
        for _ in range(20):
            named(capture, None)
        monkeypatch.setattr(frames, "BOXES", 10)
        with CaptureQueriesContext(connection) as many:
            assert "The frame shows the first 10 boxes." in page(admin_client, capture)
        assert len(many) == len(few) <= 12


class TestNight:
    @pytest.fixture
    def night(self) -> Event:
        deployment = make_deployment()
        return Event.objects.create(
            deployment=deployment, project=deployment.project, group_by="2022-06-20"
        )

    def captures(self, night: Event, number: int) -> list[SourceImage]:
        return [
            make_capture(
                deployment=night.deployment,
                event=night,
                timestamp=NIGHT + timedelta(minutes=n // 2),
            )
            for n in range(number)
        ]

    def test_captures_link_to_those_beside_them(self, night: Event) -> None:
        first, second, third = self.captures(night, 3)  # the first two at the same time
        make_capture(deployment=night.deployment, timestamp=NIGHT)
        urls = [
            reverse("admin:main_sourceimage_change", args=[row.pk])
            for row in (first, second, third)
        ]
        assert captures_beside(first) == ("", urls[1])
        assert captures_beside(second) == (urls[0], urls[2])
        assert captures_beside(third) == (urls[1], "")
        assert captures_beside(make_capture()) == ("", "")

    def test_the_strip_is_chosen_evenly(
        self, night: Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nights, "CAPTURES", 4)
        captures = self.captures(night, 10)
        strip = strip_of(night)
        assert [one.capture for one in strip.thumbnails] == captures[::3]
        assert (strip.step, strip.total) == (3, 10)
        SourceImage.objects.all().delete()
        assert strip_of(night) == ([], 1, 0)

    def test_a_still_moth_is_one_long_bar(self, night: Event) -> None:
        captures = self.captures(night, 10)
        still, late = (make_occurrence(deployment=night.deployment) for _ in range(2))
        for capture in captures:
            make_detection(source_image=capture, occurrence=still)
        make_detection(source_image=captures[8], occurrence=late)
        first, second = tracks_of(night)
        assert (first.occurrence_id, first.captures) == (still.pk, 10)
        assert (first.x, first.width) == (0, WIDTH)
        assert (second.occurrence_id, second.is_short) == (late.pk, True)
        assert (second.x, second.width) == (WIDTH - THINNEST, THINNEST)

    def test_the_page_shows_both_in_few_queries(self, admin_client: Client, night: Event) -> None:
        assert "No captures." in page(admin_client, night)
        for capture in self.captures(night, 8):
            named(capture, f"Taxon {capture.pk}")
        night.refresh_from_db()
        with CaptureQueriesContext(connection) as queries:
            text = page(admin_client, night)
        assert text.count('data-missing="Not found"') == 8
        assert text.count('class="track"') == 8
        assert len(queries) <= 10


class TestAreas:
    @pytest.mark.parametrize(
        ("box", "area"),
        [
            ([0, 0, 100, 100], 0.01),
            ([-50, -50, 100, 100], 0.01),
            ([900, 900, 2000, 2000], 0.01),
            ([2000, 2000, 3000, 3000], 0),
            (None, None),
            ([1, 2, 3], None),
            ([5, 5, 1, 1], None),
        ],
    )
    def test_a_box_is_clipped_to_its_frame(self, box: Any, area: float | None) -> None:
        assert relative_area(make_detection(bbox=box)) == pytest.approx(area)

    def test_a_frame_without_a_size_has_no_share(self) -> None:
        assert relative_area(make_detection(source_image=make_capture(height=None))) is None

    def test_bins_are_those_of_sql(self) -> None:
        capture = make_capture()
        make_capture_set([capture])
        boxes = [[0, 0, n, n] for n in (0.0001, 0.5, 1, 1.2, 10, 33, 100, 316.3, 999, 5000)]
        odd = [None, [1, 2, 3], [5, 5, 1, 1], [1, 2, float("inf"), 4], [1, None, 3, 4]]
        rows = [make_detection(source_image=capture, bbox=box) for box in boxes]
        for box in odd:
            make_detection(source_image=capture, bbox=box)
        areas = [relative_area(row) for row in rows]
        expected = Counter(bin_of(area) for area in areas if area)
        found = histogram(rows[0], 0.5)
        assert found is not None
        assert {n: bar.number for n, bar in enumerate(found.bars, 1) if bar.number} == expected
        assert found.number == len(boxes)
        assert len(found.bars) == BINS
        assert [n for n, bar in enumerate(found.bars, 1) if bar.is_own] == [bin_of(0.5)]

    def test_the_histogram_is_of_the_set_or_the_night(self, admin_client: Client) -> None:
        detection = make_detection()
        assert histogram(detection, 0.01) is None
        assert "The box covers 1.000% of its frame." in page(admin_client, detection)
        make_capture_set([detection.source_image], name="June")
        assert "Of 1 detections of <a" in page(admin_client, detection)
        assert ">capture set June</a>, 0% are clearly smaller." in page(admin_client, detection)
        assert 'class="own"' in page(admin_client, detection)


class TestClasses:
    @pytest.fixture
    def category_map(self) -> AlgorithmCategoryMap:
        labels = [{"index": index, "label": f"Label {index}"} for index in range(8)]
        return AlgorithmCategoryMap.objects.create(data=labels)

    def test_logits_become_probabilities(self, category_map: AlgorithmCategoryMap) -> None:
        row = make_classification(
            logits=[0.0, 800.0, 800.0, -900.0, None, 1.0, 0.0, 0.0], category_map=category_map
        )
        first, second, third, *_ = top_classes([row.pk])[row.pk]
        assert (first.label, first.number) == ("Label 1", 800)
        assert first.share == pytest.approx(0.5)
        assert (second.label, second.width) == ("Label 2", 50)
        assert (third.label, third.width) == ("Label 5", 0)

    @pytest.mark.parametrize("odd", [float("nan"), float("inf"), -1.0, 7.0])
    def test_odd_numbers_are_drawn(self, odd: float, admin_client: Client) -> None:
        for column in ("scores", "logits"):
            row = make_classification(**{column: [0.5, odd]})
            widths = [one.width for one in top_classes([row.pk])[row.pk]]
            assert all(0 <= width <= 100 for width in widths)
            assert "class 1, without a label" in page(admin_client, row)

    def test_before_and_after_are_compared_class_by_class(
        self, category_map: AlgorithmCategoryMap
    ) -> None:
        source = make_classification(
            scores=[0.3, 0.2, 0.2, 0.1, 0.1, 0.06, 0.04, 0], category_map=category_map
        )
        masked = make_classification(
            scores=[0, 0, 0, 0, 0, 0.6, 0.4, 0], category_map=category_map, applied_to=source
        )
        rows = compare(source.pk, masked.pk)
        assert [row.label for row in rows[:2]] == ["Label 5", "Label 6"]
        assert [(row.before and row.before.share, row.after and row.after.share) for row in rows][
            :3
        ] == [(0.06, 0.6), (0.04, 0.4), (0.3, 0)]
        rolled_up = make_classification(applied_to=masked)
        assert all(row.after is None for row in compare(masked.pk, rolled_up.pk))
        assert compare(None, rolled_up.pk) == []

    def test_classes_of_two_maps_are_not_compared(self, category_map: AlgorithmCategoryMap) -> None:
        source = make_classification(scores=[1.0, 0.0], category_map=category_map)
        other = make_classification(
            scores=[1.0, 0.0], category_map=AlgorithmCategoryMap.objects.create(labels=["a", "b"])
        )
        assert [(row.label, row.before) for row in compare(source.pk, other.pk)] == [
            ("a", None),
            ("b", None),
        ]

    def test_the_page_of_29000_classes_takes_few_queries(self, admin_client: Client) -> None:
        wide = AlgorithmCategoryMap.objects.create(labels=[f"Label {n}" for n in range(29_000)])
        scores = [0.0] * 28_999 + [1.0]
        detection = make_detection(occurrence=make_occurrence())
        source = make_classification(detection=detection, scores=scores, category_map=wide)
        row = make_classification(
            detection=detection, logits=scores, category_map=wide, applied_to=source
        )
        with CaptureQueriesContext(connection) as queries:
            assert "Label 28999" in page(admin_client, row)
        assert len(queries) <= 20
        assert not [query for query in queries if re.search(r'\."(scores|logits)",', query["sql"])]
        with CaptureQueriesContext(connection) as queries:
            assert page(admin_client, detection).count("Label 28999") == 2
        assert len(queries) <= 20
