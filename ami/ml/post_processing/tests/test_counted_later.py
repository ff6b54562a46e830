"""The confirmation page of a large selection, which is shown before its rows are counted."""

import re
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.factories import make_member, make_project, make_taxon, make_user
from ami.jobs.models import Job, JobState
from ami.jobs.tests.job_types import run_to_end
from ami.main.access import Role
from ami.main.models import Identification, Occurrence, SourceImageCollection, TaxaList
from ami.ml.post_processing.admin import selection
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.clicks import KEY, SETS, post
from ami.ml.post_processing.tests.methods import make_scope
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_source,
    make_species,
)

MASK = "run_class_masking"


@pytest.fixture
def capture_set(monkeypatch: pytest.MonkeyPatch) -> SourceImageCollection:
    """A set of one classification of one classifier, while another one has none."""
    monkeypatch.setattr(selection, "DETECTIONS_AT_ONCE", 0)
    make_classifier("b", name="Idle")
    make_list(*make_species("a"), name="Moths of the region")
    make_source(make_classifier("a", name="Busy"), logits=[1.0])
    return everything()


@pytest.mark.django_db
class TestPage:
    def test_is_shown_without_counts(
        self, admin_client: Client, capture_set: SourceImageCollection
    ) -> None:
        page = post(admin_client, [capture_set.pk], action=MASK).text
        assert 'data-counts="_counts"' in page
        assert "Busy v1</option>" in page
        assert "Idle v1</option>" in page
        assert "1 capture, 1 detection" not in page

    def test_does_not_name_lists_of_foreign_projects(
        self, client: Client, capture_set: SourceImageCollection
    ) -> None:
        TaxaList.objects.get().projects.add(make_project())
        client.force_login(make_member(capture_set.project, Role.OPERATOR))
        page = post(client, [capture_set.pk], action=MASK).text
        assert "Busy v1</option>" in page
        assert "Moths of the region" not in page

    def test_counts_when_it_is_asked_to_and_keeps_what_was_typed(
        self, admin_client: Client, capture_set: SourceImageCollection
    ) -> None:
        typed = {"taxa_list_id": "x", "algorithm_id": "", "launch_key": KEY, "_dry_run": "on"}
        page = post(admin_client, [capture_set.pk], action=MASK, _counts="1", **typed).text
        assert "data-counts" not in page
        assert "1 capture, 1 detection" in page
        assert "Busy v1: 1 classification</option>" in page
        assert "Idle v1" not in page
        assert "errornote" not in page
        assert f'name="launch_key" value="{KEY}"' in page
        assert re.search(r'name="_dry_run" [^>]*checked', page)
        page = post(
            admin_client, [capture_set.pk], _counts="1", launch_key=KEY, size_threshold="0.07"
        ).text
        assert re.search(r'name="size_threshold" value="0.07"', page)
        assert not Job.objects.exists()

    def test_says_after_counting_that_there_is_nothing_to_do(
        self, admin_client: Client, capture_set: SourceImageCollection
    ) -> None:
        capture_set.images.clear()
        page = post(admin_client, [capture_set.pk], action=MASK, _counts="1").text
        assert "Nothing to do: There is no detection in scope." in page

    def test_launches_before_anything_is_counted(
        self, admin_client: Client, capture_set: SourceImageCollection
    ) -> None:
        post(admin_client, [capture_set.pk], launch_key=KEY, size_threshold="0.07")
        assert Job.objects.get().params["config"]["size_threshold"] == 0.07


@pytest.mark.django_db(transaction=True)  # without the savepoints of a test
@pytest.mark.parametrize("key", ["class_masking", "rank_rollup", "small_size_filter", "tracking"])
def test_page_takes_few_queries(
    client: Client, capture_set: SourceImageCollection, key: str
) -> None:
    people = {
        make_user(is_staff=True, is_superuser=True): 12,
        make_member(capture_set.project, Role.OPERATOR): 14,
    }
    for person, limit in people.items():
        client.force_login(person)
        with CaptureQueriesContext(connection) as queries:
            assert post(client, [capture_set.pk], action=f"run_{key}").status_code == 200
        read = [one["sql"] for one in queries if one["sql"] not in {"BEGIN", "COMMIT"}]
        assert len(read) <= limit, read


def confirmation_page(page: Page, live_server: LiveServer) -> Page:
    """The page of class masking, as an operator reaches it."""
    make_user(email="rosa@example.org", password="secret", is_staff=True, is_superuser=True)
    page.goto(f"{live_server.url}{SETS}")
    page.get_by_label("E-mail address").fill("rosa@example.org")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Log in").click()
    page.locator("input.action-select").check()
    page.get_by_label("Action:").select_option(value=MASK)
    page.get_by_role("button", name="Go").click()
    return page


@pytest.mark.django_db(transaction=True)
def test_browser_loads_the_counts_and_keeps_what_was_typed(
    page: Page, live_server: LiveServer, capture_set: SourceImageCollection
) -> None:
    held: list[Any] = []
    page.set_viewport_size({"width": 380, "height": 900})
    page.route("**/*", lambda route: held.append(route) if _counts(route) else route.continue_())
    confirmation_page(page, live_server)
    expect(page.get_by_text("Counting…")).to_be_visible()
    page.get_by_label("Dry run").check()
    page.get_by_label("Taxa list:").select_option(label="Moths of the region")
    page.get_by_label("Taxa list:").focus()
    held[0].continue_()
    expect(page.get_by_text("1 capture, 1 detection")).to_be_visible()
    chosen = page.get_by_label("Taxa list:")
    expect(chosen.locator("option:checked")).to_have_text(
        re.compile("Moths of the region: 1 classification")
    )
    expect(chosen).to_be_focused()
    expect(page.get_by_label("Dry run")).to_be_checked()
    assert len(held) == 1


def _counts(route: Any) -> bool:
    return "_counts" in (route.request.post_data or "")


@pytest.mark.django_db(transaction=True)
def test_browser_says_that_the_rows_could_not_be_counted(
    page: Page, live_server: LiveServer, capture_set: SourceImageCollection
) -> None:
    page.route("**/*", lambda route: route.abort() if _counts(route) else route.continue_())
    confirmation_page(page, live_server)
    expect(page.get_by_text("The rows could not be counted.")).to_be_visible()
    expect(page.get_by_role("button", name="Run")).to_be_enabled()


@pytest.mark.django_db(transaction=True)
def test_button_counts_without_javascript(
    page: Page, live_server: LiveServer, capture_set: SourceImageCollection
) -> None:
    assert page.context.browser
    page = page.context.browser.new_page(java_script_enabled=False)
    confirmation_page(page, live_server)
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    expect(page.get_by_text("Counting…")).to_be_hidden()
    page.get_by_label("Taxa list:").select_option(label="Moths of the region")
    page.get_by_role("button", name="Count").click()
    expect(page.get_by_text("1 capture, 1 detection")).to_be_visible()
    expect(page.get_by_label("Taxa list:").locator("option:checked")).to_have_text(
        re.compile("Moths of the region: 1 classification")
    )


def test_page_shows_occurrences_people_s_names_and_the_last_runs(admin_client: Client) -> None:
    capture_set = make_scope(2, 1)
    named = Occurrence.objects.earliest("pk")
    for taxon in (make_taxon(), make_taxon(), None):
        Identification.objects.create(occurrence=named, taxon=taxon)
    Identification.objects.create(
        occurrence=Occurrence.objects.latest("pk"), taxon=make_taxon(), withdrawn=True
    )
    for threshold in (0.1, 0.2, 0.3, 0.4):
        config = {"source_image_collection_id": capture_set.pk, "size_threshold": threshold}
        row = LaunchRow("A run", capture_set.project, config)
        run_to_end(launch(SmallSizeFilterTask, [row], dry_run=True)[0])
    page = post(admin_client, [capture_set.pk]).text
    text = " ".join(BeautifulSoup(page, "html.parser").text.split())
    assert "3 detections, 2 occurrences, of which 1 keeps the name that people gave" in text
    last = [f"Size threshold {threshold}" in text for threshold in (0.1, 0.2, 0.3, 0.4)]
    assert last == [False, True, True, True]


@pytest.mark.django_db
def test_last_runs_do_not_name_a_list_that_the_person_may_not_see(client: Client) -> None:
    capture_set = make_scope(1)
    foreign = TaxaList.objects.create(name="Hocuspocus")
    foreign.projects.add(make_project())
    config = {"source_image_collection_id": capture_set.pk, "taxa_list_id": foreign.pk}
    Job.objects.create(
        name="A run",
        project=capture_set.project,
        job_type_key="post_processing",
        params={"task": "class_masking", "config": config},
        status=JobState.SUCCESS,
        finished_at=timezone.now(),
    )
    client.force_login(make_member(capture_set.project, Role.OPERATOR))
    page = post(client, [capture_set.pk], action=MASK).text
    assert f"Taxa list <bdi>Taxa list {foreign.pk}</bdi>" in page
    assert "Hocuspocus" not in page
