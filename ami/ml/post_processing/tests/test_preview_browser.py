"""The preview in a real browser."""

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import without_script
from ami.jobs.models import Job
from ami.main.tests.demo import make_demo_project
from ami.ml.post_processing.tests.test_browser import operator

__all__ = ["operator"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_previewed_run_is_five_clicks_from_signing_in_and_the_threshold_moves(
    operator: Page,
) -> None:
    make_demo_project()
    page = operator
    clicks = [
        page.get_by_role("link", name="Capture sets", exact=True).first,
        page.get_by_role("link", name="Demo captures", exact=True),
        page.get_by_role("button", name="Small size filter…"),
        page.get_by_role("button", name="Preview"),
        page.get_by_role("button", name="Run", exact=True),
    ]
    for click in clicks[:4]:
        click.click()
    extent = page.locator("#preview-extent")
    expect(extent).to_be_visible(timeout=30_000)
    line = page.locator(".preview-histogram line")
    former = line.get_attribute("x1")
    page.get_by_label("Size threshold").fill("0.01")
    expect(line).not_to_have_attribute("x1", former or "")
    expect(page.locator("[data-part=threshold]")).to_have_text("Threshold 0.01")
    expect(page.locator("[data-part=crops] img")).not_to_have_count(0)
    clicks[4].click()
    expect(page.get_by_text("Small size filter: queued 1 Job")).to_be_visible()
    assert Job.objects.get().params["config"]["size_threshold"] == 0.01


def test_preview_works_without_a_script(operator: Page, live_server: LiveServer) -> None:
    make_demo_project()
    with without_script(operator) as page:
        page.goto(f"{live_server.url}/admin/main/sourceimagecollection/")
        page.get_by_role("link", name="Demo captures", exact=True).click()
        page.get_by_role("button", name="Small size filter…").click()
        page.get_by_label("Size threshold").fill("0.01")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("#preview-extent")).to_be_visible(timeout=30_000)
        expect(page.get_by_label("Size threshold")).to_have_value("0.01")
