"""Many values of an option, tried on the identified occurrences."""

from typing import Any

import numpy as np
import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import sign_in
from ami.base.tests.factories import make_member, make_user
from ami.main.access import Role
from ami.main.models import (
    Classification,
    Detection,
    Identification,
    Occurrence,
    SourceImageCollection,
    TaxaList,
)
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import SCOPES, Chosen
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.vectors import make_list
from ami.review.admin.variables import Variable
from ami.review.sweep import one_pass
from ami.review.sweep.result import Sweep, sweep
from ami.review.sweep.run import Tried, try_values
from ami.review.tests.judged import make_sample
from ami.review.tests.planted import Plan, Tree, make_tree, plant
from ami.review.tests.test_effect import machine_names
from ami.review.tests.test_sweep_one_pass import make_rows
from ami.testing.records import exactly, rows

pytestmark = pytest.mark.django_db
THRESHOLDS = (0.0005, 0.002, 0.005, 0.02)


@pytest.fixture
def tree() -> Tree:
    return make_tree()


def make_sizes(tree: Tree, number: int = 60) -> SourceImageCollection:
    """Names of small boxes are wrong; the area of the box grows with the occurrence."""
    plans = [
        Plan(number // 3, tree.other, None, tree.species),
        Plan(number - number // 3, tree.species, None, tree.species),
    ]
    capture_set = plant(plans)
    for place, detection in enumerate(Detection.objects.order_by("pk")):
        side = 10 + place * 100 // number
        detection.bbox = [0, 0, side, side]
        detection.save()
    return capture_set


def tried(capture_set: SourceImageCollection, **options: Any) -> Tried:
    configs = [
        {"size_threshold": value, "source_image_collection_id": capture_set.pk}
        for value in THRESHOLDS
    ]
    return try_values(
        SmallSizeFilterTask, configs, Chosen(SCOPES[0], [capture_set.pk], foreign=[]), **options
    )


def swept(found: Tried) -> Sweep:
    return sweep(found, [(value, str(value)) for value in THRESHOLDS])


def test_each_value_gives_the_names_of_a_run(tree: Tree) -> None:
    capture_set = make_sizes(tree)
    before = exactly(rows())
    found = tried(capture_set)
    assert exactly(rows()) == before, "nothing is written"
    occurrences = found.answers.occurrences.tolist()
    assert dict(zip(occurrences, found.before.tolist(), strict=True)) == machine_names()
    for value, names in zip(THRESHOLDS, found.after, strict=True):
        with transaction.atomic():
            SmallSizeFilterTask(
                size_threshold=value, source_image_collection_id=capture_set.pk
            ).run()
            assert dict(zip(occurrences, names.tolist(), strict=True)) == machine_names()
            transaction.set_rollback(True)


def test_values_are_compared_with_independent_answers(tree: Tree) -> None:
    capture_set = make_sizes(tree)
    said = list(Identification.objects.order_by("pk"))[:30]
    for row in said:
        row.agreed_with_prediction = Classification.objects.get(
            detection__occurrence=row.occurrence
        )
        row.save()
    result = swept(tried(capture_set))
    assert (result.is_independent, result.occurrences, result.total) == (True, 60, 60)
    for point in result.points:
        assert (point.all_answers.identified, point.independent.identified) == (60, 30)
    silenced = [point.all_answers.moved.silenced for point in result.points]
    assert silenced == sorted(silenced)
    assert silenced[0] < silenced[-1]
    Identification.objects.update(agreed_with_prediction=Classification.objects.earliest("pk").pk)
    assert not swept(tried(capture_set)).is_independent
    Identification.objects.update(
        agreed_with_prediction=None, sample=make_sample(items=1).pk, blind=False
    )
    assert not swept(tried(capture_set)).is_independent
    Identification.objects.update(blind=True)
    assert swept(tried(capture_set)).is_independent


def test_the_best_value_is_chosen_on_one_half_and_reported_on_the_other(tree: Tree) -> None:
    """Boxes below the area of the first third are wrong, so a threshold there is best."""
    best = swept(tried(make_sizes(tree, 240))).best
    assert best
    assert best.value == 0.002
    assert best.chosen_on + best.reported.identified == 240
    assert best.reported.moved.silenced > 0
    assert swept(tried(SourceImageCollection.objects.get())).best == best, "it is deterministic"


def test_the_present_value_is_best_unless_another_is_better(tree: Tree) -> None:
    found = tried(make_sizes(tree, 240))
    best = swept(found).best
    assert best
    values = [(value, str(value)) for value in (*THRESHOLDS, 0.5)]
    place = THRESHOLDS.index(best.value)
    equal = found._replace(after=[*found.after, found.after[place]])
    for present, told in ((0.5, 0.5), (THRESHOLDS[0], best.value), (None, best.value)):
        chosen = sweep(equal, values, present=present).best
        assert chosen
        assert chosen.value == told


def test_of_values_with_as_many_right_names_the_one_with_the_most_exact_is_best(tree: Tree) -> None:
    found = tried(make_sizes(tree, 240))
    exact, coarse, wrong = (np.full(240, one.pk) for one in (tree.species, tree.genus, tree.other))
    values = [(name, name) for name in ("wrong", "coarse", "exact")]
    for present in (None, "coarse"):
        best = sweep(found._replace(after=[wrong, coarse, exact]), values, present=present).best
        assert best
        assert best.value == "exact"


def test_values_that_are_equally_good_have_no_best_one(tree: Tree) -> None:
    found = tried(make_sizes(tree, 240))
    result = swept(found._replace(after=[found.before] * len(THRESHOLDS)))
    assert (result.best, result.is_even, result.is_flat) == (None, True, True)
    other = np.where(found.answers.occurrences % 2, tree.genus.pk, tree.species.pk)
    assert not swept(found._replace(after=[found.before] * 3 + [other])).is_flat


def test_few_answers_have_no_best_value(tree: Tree) -> None:
    result = swept(tried(make_sizes(tree, 30)))
    assert (result.best, result.total) == (None, 30)


def test_without_answers_nothing_is_compared(tree: Tree) -> None:
    capture_set = make_sizes(tree)
    Identification.objects.all().delete()
    result = swept(tried(capture_set))
    assert (result.total, result.points[0].all_answers.identified) == (0, 0)
    assert result.points[0].all_answers.accuracy is None


def test_a_sample_is_compared_if_the_time_does_not_suffice(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_pass, "FEW", 20)
    found = tried(make_sizes(tree, 90), seconds=1e-9)
    assert (len(found.before), found.answers.total) == (20, 90)
    assert not swept(found).is_whole
    assert [len(names) for names in found.after] == [20] * 4


def test_queries_do_not_grow_with_the_rows(tree: Tree) -> None:
    def queries(number: int) -> int:
        capture_set = make_sizes(tree, number)
        with CaptureQueriesContext(connection) as seen:
            tried(capture_set, seconds=1e6)
        return len(seen)

    assert queries(6) == queries(60)


class TestValues:
    VARIABLE = Variable("size_threshold", "Size", ("size_threshold",), is_logarithmic=True)

    def test_a_logarithmic_range_has_equal_ratios(self) -> None:
        values = [value for value, _ in self.VARIABLE.values(0.001, 0.1, 5)]
        assert np.allclose(values, [0.001, 0.00316, 0.01, 0.0316, 0.1])

    def test_whole_numbers_are_not_repeated(self) -> None:
        whole = self.VARIABLE._replace(is_whole=True)
        assert whole.values(1, 4, 20) == [(1, "1"), (2, "2"), (3, "3"), (4, "4")]

    def test_the_present_value_is_tried_if_it_lies_in_the_range(self) -> None:
        values = [value for value, _ in self.VARIABLE.values(0.001, 0.1, 3, present=0.0123456)]
        assert values == [0.001, 0.01, 0.0123456, 0.1]
        whole = self.VARIABLE._replace(is_whole=True)
        assert whole.values(1, 9, 2, present=4) == [(1, "1"), (4, "4"), (9, "9")]
        for present in (None, 0.5):
            assert len(self.VARIABLE.values(0.001, 0.1, 3, present=present)) == 3

    def test_a_number_in_a_mapping_is_put_in_its_place(self) -> None:
        one = Variable("thresholds_GENUS", "Genus", ("thresholds", "GENUS"))
        config = {"thresholds": {"SPECIES": 0.8}}
        assert one.present(config) is None
        assert one.put(config, 0.5) == {"thresholds": {"SPECIES": 0.8, "GENUS": 0.5}}
        assert config == {"thresholds": {"SPECIES": 0.8}}


class TestPage:
    URL = reverse("admin:main_sourceimagecollection_changelist")

    def post(self, client: Client, capture_set: SourceImageCollection, **fields: Any) -> Any:
        data = {
            "action": "run_small_size_filter",
            ACTION_CHECKBOX_NAME: [capture_set.pk],
            "size_threshold": "0.0008",
            "_sweep": "Try a range…",
        }
        return client.post(self.URL, data | fields)

    def test_it_tries_the_first_option_at_once(self, admin_client: Client, tree: Tree) -> None:
        page = self.post(admin_client, make_sizes(tree, 90))
        assert "Compared on all 90 identified occurrences, by the independent answers." in page.text
        assert "Best value:" in page.text
        assert page.context["ranges"]["low"].value() == "0.0001"
        assert page.context["ranges"]["high"].value() == "0.0064"
        values = [point.value for point in page.context["result"].points]
        assert len(values) == 21
        assert 0.0008 in values, "the present one"

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"low": "0.1", "high": "0.01"}, "The range must end above 0.1, its start."),
            ({"low": "x"}, "Enter a number."),
            ({"number": "1000"}, "less than or equal to 50"),
            ({"option": "nonsense"}, "Select a valid choice."),
            ({"low": "5", "high": "9"}, "must be"),
            ({"low": "-1e308", "high": "1e308"}, "less than or equal to 1000000000000"),
        ],
    )
    def test_odd_ranges_are_refused_in_a_sentence(
        self, admin_client: Client, tree: Tree, fields: dict[str, str], told: str
    ) -> None:
        asked = {"option": "size_threshold", "former": "size_threshold", "number": "3"} | fields
        given = {f"sweep-{name}": value for name, value in asked.items()}
        page = self.post(admin_client, make_sizes(tree, 30), **given)
        assert page.status_code == 200
        assert told in page.text
        assert "result" not in page.context

    def test_an_option_with_choices_has_no_range(self, admin_client: Client, tree: Tree) -> None:
        fields = {"action": "run_track_consensus", "rule": "mean", "min_frames": "2"}
        fields |= {"temperature": "1", "sweep-option": "rule", "sweep-former": "rule"}
        odd = {"sweep-low": "x", "sweep-high": "x", "sweep-number": "x"}
        page = self.post(admin_client, make_sizes(tree, 90), **fields, **odd)
        assert [point.label for point in page.context["result"].points] == [
            "Mean",
            "Log mean",
            "Best",
        ]
        assert "All values give the same names" in page.text
        assert 'type="hidden" name="sweep-low"' in page.text

    def test_taxa_lists_are_compared_by_name(self, admin_client: Client) -> None:
        config = make_rows("class_masking")({})
        first = TaxaList.objects.get(pk=config["taxa_list_id"])
        second = make_list(*first.taxa.all()[:1], name="Another list")
        for one in (first, second):
            one.projects.clear()
        fields = {"action": "run_class_masking", "sweep-option": "taxa_list_id", "reweight": "on"}
        capture_set = SourceImageCollection.objects.get(pk=config["source_image_collection_id"])
        page = self.post(admin_client, capture_set, **fields | config)
        labels = {point.label: point.value for point in page.context["result"].points}
        assert labels == {"Another list": second.pk, first.name: first.pk}
        assert f'data-value="{second.pk}"' in page.text
        assert "outside the list" not in page.text

    def test_the_finest_rank_comes_first(self, admin_client: Client, tree: Tree) -> None:
        fields = {"action": "run_rank_rollup", "lineage": "constrained"}
        fields |= {"thresholds_GENUS": "0.6", "thresholds_SPECIES": "0.8"}
        page = self.post(admin_client, make_sizes(tree, 30), **fields)
        assert [one.input for one in page.context["ranges"].variables.values()][:2] == [
            "thresholds_SPECIES",
            "thresholds_GENUS",
        ]

    def test_it_tells_why_there_is_nothing_to_do(self, admin_client: Client, tree: Tree) -> None:
        fields = {"action": "run_static_boxes", "min_captures": "20", "min_nights": "2"}
        page = self.post(admin_client, make_sizes(tree, 30), **fields, iou="0.9")
        assert "there is nothing to do: No place was ticked." in page.text

    def test_without_answers_it_says_what_to_do(self, admin_client: Client, tree: Tree) -> None:
        capture_set = make_sizes(tree, 30)
        Identification.objects.all().delete()
        assert "Nobody has identified an occurrence" in self.post(admin_client, capture_set).text

    def test_only_those_who_may_run_the_method_may_try_it(self, client: Client, tree: Tree) -> None:
        capture_set = make_sizes(tree, 30)
        client.force_login(make_member(capture_set.project, Role.VIEWER))
        assert self.post(client, capture_set).status_code in {302, 403}
        client.force_login(make_user(is_staff=True))
        assert self.post(client, capture_set).status_code in {302, 403}
        client.force_login(make_member(capture_set.project, Role.OPERATOR))
        assert self.post(client, capture_set).status_code == 200

    def test_a_method_that_does_not_compare_has_no_range(
        self, admin_client: Client, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        capture_set, button = make_sizes(tree, 30), "Try a range…"
        selected = {"action": "run_small_size_filter", ACTION_CHECKBOX_NAME: [capture_set.pk]}
        assert button in admin_client.post(self.URL, selected).text
        monkeypatch.setattr(SmallSizeFilterTask, "compare", BasePostProcessingTask.compare)
        page = self.post(admin_client, capture_set)
        assert button not in page.text
        assert "result" not in page.context

    def test_a_method_that_fails_is_told_in_a_sentence(
        self, admin_client: Client, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SmallSizeFilterTask, "compare", lambda *_: 1 / 0)
        page = self.post(admin_client, make_sizes(tree, 30))
        assert "The method stopped with ZeroDivisionError." in page.text

    def test_illegal_options_return_to_their_page(self, admin_client: Client, tree: Tree) -> None:
        page = self.post(admin_client, make_sizes(tree, 30), size_threshold="7")
        assert "Please correct the error below." in page.text


@pytest.mark.django_db(transaction=True)
def test_a_point_opens_the_page_of_options_with_its_value(
    page: Page, live_server: LiveServer
) -> None:
    make_sizes(make_tree(), 60)
    sign_in(page, live_server.url)
    page.goto(live_server.url + TestPage.URL)
    page.locator(".action-select").first.check()
    page.locator("select[name=action]").select_option("run_small_size_filter")
    page.locator("button[name=index]").click()
    page.get_by_role("button", name="Try a range…").click()
    point = page.locator(".dot").nth(25)
    value = point.get_attribute("data-value")
    page.wait_for_load_state()  # the script that takes the click is deferred
    point.click(force=True)
    expect(page.locator("#id_size_threshold")).to_have_value(str(value))
    assert not Occurrence.objects.filter(determination__name="Not identifiable").exists()
