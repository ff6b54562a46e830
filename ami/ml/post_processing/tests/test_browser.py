"""The whole way in a real browser with a real worker; takes the screenshots of the docs."""

import os
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.links import change_url
from ami.base.tests.factories import make_capture, make_capture_set, make_user
from ami.jobs.models import Job
from ami.main.models import Classification, Detection
from ami.main.tests.demo import make_demo_project
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_source,
    make_species,
)
from ami.review.tests.tour import judge_and_compare

pytestmark = pytest.mark.django_db(transaction=True)
TALLEST = 1_800  # pixels of a picture in the docs


@pytest.fixture
def operator(page: Page, live_server: LiveServer) -> Page:
    """The index of the admin after signing in."""
    make_user(
        email="rosa@example.org",
        name="Rosa Beauchamp",
        password="secret",
        is_staff=True,
        is_superuser=True,
    )
    page.set_viewport_size({"width": 1200, "height": 900})
    page.goto(f"{live_server.url}/admin/")
    page.get_by_label("E-mail address").fill("rosa@example.org")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Log in").click()
    return page


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder of the screenshots: SCREENSHOTS if it is set, otherwise a temporary one."""
    return Path(os.environ.get("SCREENSHOTS") or tmp_path)


@pytest.mark.usefixtures("celery_worker")
def test_operator_tries_the_small_size_filter_and_applies_it(
    operator: Page, screenshots: Path
) -> None:
    make_demo_project()
    page = operator
    page.get_by_role("link", name="Capture sets").first.click()
    page.locator("tr", has_text="Demo captures").get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option(
        label="Run Small size filter post-processing task (async)"
    )
    page.get_by_role("button", name="Go").click()

    expect(page.get_by_role("heading", name="Run Small size filter")).to_be_visible()
    expect(page.locator("#preview svg").first).to_be_visible(timeout=30_000)
    assert not Job.objects.exists()
    shoot(page, screenshots / "confirmation", dark=True)
    page.get_by_label("Size threshold").fill("7")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("Size threshold must be below 1, got 7.")).to_be_visible()
    page.get_by_label("Size threshold").fill("0.0008")
    page.get_by_label("Dry run").check()
    page.get_by_role("button", name="Run").click()

    page.get_by_role("link", name=re.compile(r"^Job \d+$")).click()
    apply = page.get_by_role("button", name="Apply this dry run")
    expect(apply).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Dry run: nothing was written.")).to_be_visible()
    assert not Classification.objects.filter(taxon__name="Not identifiable").exists()
    shoot(page, screenshots / "dry-run")

    apply.click()
    expect(page.get_by_role("link", name="Revert…")).to_be_visible(timeout=60_000)
    expect(page.locator(".job-status")).to_have_text("Succeeded")
    shoot(page, screenshots / "job")
    dry, applied = Job.objects.order_by("pk")
    assert applied.applies == dry
    assert applied.changes.count() == dry.changes.count() > 0
    flagged = Classification.objects.filter(taxon__name="Not identifiable").count()
    assert flagged
    for name, figure in [
        ("Detections checked", Detection.objects.count()),
        ("Detections flagged", flagged),
    ]:
        row = page.get_by_role("row", name=name)
        expect(row).to_contain_text(f"{figure:,}")

    look_at_the_rows(page, applied, screenshots)
    judge_and_compare(page, screenshots, shoot)


def look_at_the_rows(page: Page, applied: Job, screenshots: Path) -> None:
    """Take pictures of an occurrence that the Job changed, of its capture, night and project."""
    detection = Detection.objects.filter(classifications__job=applied).latest("pk")
    shown = {
        "occurrence": detection.occurrence,
        "capture": detection.source_image,
        "night": detection.source_image.event,
        "project": detection.source_image.project,
    }
    for name, place in shown.items():
        assert place is not None
        page.goto(urljoin(page.url, change_url(type(place), place.pk)))
        shoot(page, screenshots / name, dark=name == "occurrence")
    page.get_by_role("link", name="View on site").click()
    expect(page.get_by_text("Masking is off")).to_be_visible()
    shoot(page, screenshots / "project")


def shoot(page: Page, path: Path, *, dark: bool = False) -> None:
    """Take a picture of the page, with all its crops but without its sidebar, or one per theme."""
    page.evaluate("localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")
    page.locator("#main").evaluate("main => main.classList.remove('shifted')")
    page.locator("img").evaluate_all("all => all.forEach(one => { one.loading = 'eager'; })")
    page.wait_for_load_state("networkidle")
    for theme, ending in (("light", ""), ("dark", "-dark"))[: 1 + dark]:
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        file = f"{path}{ending}.png"
        page.screenshot(path=file, full_page=True, animations="disabled")
        with Image.open(file) as picture:
            top = picture.crop((0, 0, picture.width, min(picture.height, TALLEST)))
        top.convert("RGB").quantize(192).save(file, optimize=True)
    page.evaluate("document.documentElement.dataset.theme = 'light'")


def test_choice_of_all_pages_is_not_offered_while_a_method_is_chosen(operator: Page) -> None:
    page = operator
    capture = make_capture()
    for number in range(101):
        make_capture_set([capture], name=f"Set {number}")
    page.goto(urljoin(page.url, "/admin/main/sourceimagecollection/"))
    page.locator("#action-toggle").check()
    all_rows = page.get_by_role("button", name="Select all 101 capture sets")
    expect(all_rows).to_be_visible()
    actions = page.get_by_label("Action:")
    actions.select_option(value="run_tracking")
    expect(all_rows).to_be_hidden()
    actions.select_option(value="delete_selected")
    expect(all_rows).to_be_visible()


def test_number_that_the_browser_cannot_read_is_not_taken_for_none(operator: Page) -> None:
    page = operator
    make_source(make_classifier("a"), scores=[1.0])
    everything()
    page.get_by_role("link", name="Capture sets").first.click()
    page.locator("input.action-select").check()
    page.get_by_label("Action:").select_option(value="run_rank_rollup")
    page.get_by_role("button", name="Go").click()
    threshold = page.get_by_label("Genus", exact=True)
    threshold.clear()
    threshold.press_sequentially("-")
    page.get_by_role("button", name="Run").click()
    expect(threshold).to_be_focused()
    assert not Job.objects.exists()
    threshold.fill("0.5")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("Rank rollup: queued 1 Job for 1 capture set: Job")).to_be_visible()
    assert Job.objects.get().params["config"]["thresholds"]["GENUS"] == 0.5


@pytest.mark.parametrize("width", [1200, 390])
def test_pickers_of_long_names_stay_on_the_page(operator: Page, width: int) -> None:
    page = operator
    classifier = make_classifier("a", name="Moths of the night " * 10)
    make_list(*make_species("a"), name="Moths of the region " * 12)
    make_source(classifier, logits=[1.0])
    everything()
    page.get_by_role("link", name="Capture sets").first.click()
    page.locator("input.action-select").check()
    page.get_by_label("Action:").select_option(value="run_class_masking")
    page.get_by_role("button", name="Go").click()
    page.set_viewport_size({"width": width, "height": 900})
    for name in ("Taxa list:", "Algorithm:"):
        picker = page.get_by_label(name).bounding_box()
        assert picker
        assert picker["x"] + picker["width"] <= width
