"""What the confirmation page foretells of a run, on the whole scope or on a sample."""

import json
import re
from typing import Any

import numpy as np
import pytest
from django.test import Client

from ami.base.intervals import Interval, extrapolated, wilson
from ami.jobs.models import Job, JobChange
from ami.jobs.tests.admin import sign_in
from ami.main.access import Role
from ami.main.models import Classification, SourceImageCollection
from ami.ml.post_processing import preview as previews
from ami.ml.post_processing.measures import Gauge, Points
from ami.ml.post_processing.preview import preview
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.scopes import chosen_scope
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.clicks import KEY, post
from ami.ml.post_processing.tests.every import make_rows_for
from ami.ml.post_processing.tests.methods import CountingTask, make_scope, registered

pytestmark = pytest.mark.django_db


def page(client: Client, row: SourceImageCollection, **fields: Any) -> Any:
    options = {"size_threshold": "0.0008", "launch_key": KEY, "_preview": "Preview", **fields}
    return post(client, [row.pk], **options)


@pytest.fixture
def captures() -> SourceImageCollection:
    make_rows_for("small_size_filter")
    return SourceImageCollection.objects.get()


class TestPage:
    def test_it_shows_counters_taxa_histogram_and_crops_and_writes_nothing(
        self, admin_client: Client, captures: SourceImageCollection
    ) -> None:
        before = Classification.objects.count()
        text = page(admin_client, captures).text
        assert "on all 39 detections in scope" in text
        assert '<th scope="row">Detections flagged</th><td class="number">24</td>' in text
        assert "<bdi>Not identifiable</bdi>" in text
        assert 'role="img" aria-label="Histogram of 27 values from ' in text
        assert "24 of 27 values in scope: flagged." in text
        assert text.count('alt="Crop of detection ') == 12 + 3
        assert Classification.objects.count() == before
        assert not Job.objects.exists()
        assert not JobChange.objects.exists()

    def test_it_keeps_the_options_and_the_key_of_the_form(
        self, admin_client: Client, captures: SourceImageCollection
    ) -> None:
        text = page(admin_client, captures, size_threshold="0.5", _dry_run="on").text
        assert re.search(r'name="size_threshold" value="0.5"', text)
        assert 'id="id_dry_run" checked' in text
        assert f'name="launch_key" value="{KEY}"' in text
        assert "27 of 27 values in scope: flagged." in text

    def test_bad_options_are_refused_at_their_field(
        self, admin_client: Client, captures: SourceImageCollection
    ) -> None:
        text = page(admin_client, captures, size_threshold="7").text
        assert "Size threshold must be below 1, got 7" in text
        assert "preview-data" not in text

    def test_empty_scope_has_a_preview_without_drawings(self, admin_client: Client) -> None:
        empty = make_scope(0)
        text = page(admin_client, empty).text
        assert "Nothing to do: There is no detection in scope." in text
        assert "<svg class=" not in text

    def test_method_that_fails_is_told_in_a_sentence(
        self, admin_client: Client, captures: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SmallSizeFilterTask, "process", lambda *_: 1 / 0)
        told = "The method stopped with ZeroDivisionError. A dry run skips the rows"
        assert told in page(admin_client, captures).text
        monkeypatch.setattr(SmallSizeFilterTask, "process", lambda *_: len(1))  # type: ignore[arg-type]
        told = "The method stopped with TypeError. A run would crash;"
        assert told in page(admin_client, captures).text

    def test_method_without_a_measure_shows_its_counters(
        self, admin_client: Client, captures: SourceImageCollection
    ) -> None:
        with registered(CountingTask):
            text = post(admin_client, [captures.pk], action="run_counting", _preview="Preview").text
        assert '<th scope="row">Seen</th><td class="number">39</td>' in text
        assert "preview-series" not in text

    def test_number_of_queries_does_not_grow_with_the_rows(
        self, admin_client: Client, django_assert_max_num_queries: Any
    ) -> None:
        make_rows_for("small_size_filter", nights=1)
        few = SourceImageCollection.objects.get()
        with django_assert_max_num_queries(200) as first:
            page(admin_client, few)
        few.delete()
        make_rows_for("small_size_filter", nights=6)
        with django_assert_max_num_queries(len(first) + 8):  # more batches, not more per row
            page(admin_client, SourceImageCollection.objects.get())


def test_viewer_has_no_preview(client: Client, captures: SourceImageCollection) -> None:
    sign_in(client, project=captures.project, role=Role.VIEWER)
    assert page(client, captures).status_code == 403
    assert Classification.objects.filter(taxon__name="Not identifiable").count() == 0


def test_values_do_not_end_the_script_block(
    admin_client: Client, captures: SourceImageCollection
) -> None:
    text = page(admin_client, captures).text
    stored = re.search(r'<script id="preview-data" type="application/json">(.*?)</script>', text)
    assert stored
    data = json.loads(stored[1])
    assert [one["field"] for one in data["series"]] == ["size_threshold"]
    values = [value for value, _, _ in data["series"][0]["points"]]
    assert values == sorted(values)


class TestSample:
    def test_figures_of_a_sample_are_intervals_that_hold_the_truth(
        self, captures: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(previews, "FIRST_ROWS", 12)
        config: dict[str, Any] = {"source_image_collection_id": captures.pk}
        scope = chosen_scope(SmallSizeFilterTask(**config).config)
        whole = preview(SmallSizeFilterTask(**config), scope, seconds=1e6)
        part = preview(SmallSizeFilterTask(**config), scope, seconds=0)
        assert not part.extent.is_whole
        assert 0 < part.extent.rows <= 12 < part.extent.all_rows == whole.extent.all_rows == 39
        for name, truth in whole.counts.items():
            estimate = part.interval(name)
            assert estimate.low <= truth <= estimate.high, name
        assert str(part.interval("detections_flagged")) != str(whole.interval("detections_flagged"))

    def test_same_units_are_sampled_each_time(
        self, captures: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(previews, "FIRST_ROWS", 12)

        def detections(threshold: float) -> set[int]:
            task = SmallSizeFilterTask(
                source_image_collection_id=captures.pk, size_threshold=threshold
            )
            (series,) = preview(task, chosen_scope(task.config), seconds=0).series
            return set(series.points.detections.tolist())

        assert detections(0.0008) == detections(0.5)

    def test_units_are_whole(
        self, captures: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(previews, "FIRST_ROWS", 1)
        task = SmallSizeFilterTask(source_image_collection_id=captures.pk)
        found = preview(task, chosen_scope(task.config), seconds=0)
        (sizes,) = {found.extent.rows} & {1, 2}
        assert (found.extent.units, found.counts["detections_checked"]) == (1, sizes)


@pytest.mark.parametrize("key", list(POSTPROCESSING_TASKS))
def test_every_method_draws_its_measure(key: str) -> None:
    made = make_rows_for(key)
    task = POSTPROCESSING_TASKS[key](**made.config)
    found = preview(task, chosen_scope(task.config), seconds=1e6)
    assert found.series
    numbers = [len(one.points.values) for one in found.series]
    assert sum(len(one.border) for one in found.series) <= min(previews.CROPS, sum(numbers))


@pytest.mark.parametrize(
    ("numbers", "given"),
    [
        ([100], [12]),
        ([100] * 5, [3, 3, 2, 2, 2]),
        ([1, 100, 100], [1, 6, 5]),
        ([100] * 13, [*[1] * 12, 0]),
        ([2, 0, 3], [2, 0, 3]),
        ([], []),
    ],
)
def test_crops_are_divided_among_the_series(numbers: list[int], given: list[int]) -> None:
    assert previews.shares(numbers, 12) == given


def test_preview_of_five_thresholds_has_24_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    make_rows_for("rank_rollup")
    ranks = ("GENUS", "TRIBE", "SUBFAMILY", "FAMILY", "ORDER")
    points = Points(np.linspace(0.1, 0.9, 20), np.arange(20), np.zeros(20, dtype=np.int64))
    task = RankRollupTask(occurrence_id=1, thresholds=dict.fromkeys(ranks, 0.5))
    task.gauge = Gauge()
    monkeypatch.setattr(task.gauge, "points", lambda name: points)
    borders = [one.border for one in previews._series(task)]
    assert sum(map(len, borders)) == 24
    assert borders[0] == [7, 8, 9, 10, 11, 12]
    assert borders[-1] == [8, 9, 10, 11]


class TestIntervals:
    @pytest.mark.parametrize(
        ("seen", "n", "low", "high"),
        [(0, 10, 0, 0.277533), (1, 10, 0.017876, 0.404150), (81, 263, 0.255289, 0.366210)],
    )
    def test_wilson(self, seen: int, n: int, low: float, high: float) -> None:
        assert wilson(seen / n, n) == pytest.approx((low, high), abs=1e-6)

    def test_it_is_for_all_rows_and_at_least_what_was_seen(self) -> None:
        assert extrapolated(0, rows=10, units=10, total=1000) == (0, 278)
        assert extrapolated(9, rows=10, units=10, total=12).low == 9
        low, high = extrapolated(15, rows=10, units=10, total=1000)  # a row is counted twice
        assert low < 1500 < high <= 2000
        assert str(Interval(1200, 3400)) == "1,200 to 3,400"
        assert str(Interval(5, 5)) == "5"
