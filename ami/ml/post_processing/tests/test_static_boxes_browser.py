"""Tiles of static boxes in a real browser, with and without a script."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import without_script
from ami.jobs.models import Job
from ami.main.models import Deployment, Detection
from ami.main.tests.demo import make_demo_project
from ami.ml.post_processing.tests.test_browser import operator

__all__ = ["operator"]
pytestmark = pytest.mark.django_db(transaction=True)
SPECKS = ((900, 80, 960, 130), (120, 500, 150, 560))


def make_specks() -> None:
    """Boxes that stay on every capture of each trap of the demo."""
    make_demo_project()
    for deployment in Deployment.objects.all():
        Detection.objects.bulk_create(
            Detection(source_image=capture, bbox=list(box))
            for capture in deployment.captures.all()
            for box in SPECKS
        )


def test_tiles_are_ticked_previewed_and_launched(operator: Page) -> None:
    make_specks()
    page = operator
    page.get_by_role("link", name="Capture sets", exact=True).first.click()
    page.get_by_role("link", name="Demo captures", exact=True).click()
    page.get_by_role("button", name="Static boxes…").click()
    page.get_by_label("Captures", exact=False).first.fill("5")
    page.get_by_role("button", name="Look for places again").click()
    tiles = page.locator(".tiles input[type=checkbox]")
    expect(tiles).to_have_count(2 * Deployment.objects.count())
    expect(page.locator(".tiles input:checked")).to_have_count(0)
    tiles.first.check()
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview svg").first).to_be_visible(timeout=30_000)
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "static-boxes.png", full_page=True)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("Static boxes: queued 1 Job")).to_be_visible()
    config = Job.objects.get().params["config"]
    assert (len(config["places"]), config["min_captures"]) == (1, 5)


def test_tiles_work_without_a_script(operator: Page, live_server: LiveServer) -> None:
    make_specks()
    with without_script(operator) as page:
        page.goto(f"{live_server.url}/admin/main/sourceimagecollection/")
        page.get_by_role("link", name="Demo captures", exact=True).click()
        page.get_by_role("button", name="Static boxes…").click()
        page.get_by_label("Captures", exact=False).first.fill("5")
        page.get_by_role("button", name="Look for places again").click()
        page.locator(".tiles input[type=checkbox]").first.check()
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("#preview-extent")).to_be_visible(timeout=30_000)
        expect(page.locator(".tiles input:checked")).to_have_count(1)
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_text("Static boxes: queued 1 Job")).to_be_visible()
