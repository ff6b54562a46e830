"""The page that tries a range of values."""

from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import sign_in
from ami.base.tests.factories import make_member, make_user
from ami.main.access import Role
from ami.main.models import Identification, Occurrence, SourceImageCollection, TaxaList
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.vectors import make_list
from ami.review.tests.planted import Tree, make_sizes, make_tree
from ami.review.tests.test_sweep_one_pass import make_rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree() -> Tree:
    return make_tree()


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
