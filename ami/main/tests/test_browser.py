"""The pages of rows in a real browser, without and with a keyboard."""

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import sign_in
from ami.base.tests.factories import (
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.main.models import Occurrence

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def occurrence() -> Occurrence:
    row = make_occurrence()
    detection = make_detection(occurrence=row)
    make_classification(detection=detection, taxon=make_taxon(name="Zale galbanata"))
    make_taxon(name="Zale lunata")
    row.save()
    return row


def test_a_person_agrees_and_then_disagrees_with_the_enter_key(
    page: Page, live_server: LiveServer, occurrence: Occurrence
) -> None:
    sign_in(page, live_server.url)
    page.goto(f"{live_server.url}/admin/main/occurrence/{occurrence.pk}/change/")
    page.get_by_role("button", name="Agree: Zale galbanata").click()
    expect(page.get_by_text("You identified it as Zale galbanata.")).to_be_visible()

    page.get_by_label("Disagree: it is").fill("zale lunata")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You identified it as Zale lunata.")).to_be_visible()
    assert [one.withdrawn for one in occurrence.identifications.all()] == [False, False]

    page.get_by_role("button", name="Withdraw").first.click()
    expect(page.get_by_text("You withdrew Zale lunata.")).to_be_visible()


def test_a_box_of_a_zoomed_frame_leads_to_its_detection(
    page: Page, live_server: LiveServer, occurrence: Occurrence
) -> None:
    detection = occurrence.detections.get()
    sign_in(page, live_server.url)
    page.goto(f"{live_server.url}/admin/main/sourceimage/{detection.source_image_id}/change/")
    box = page.get_by_role("link", name=f"Detection {detection.pk}: Zale galbanata")
    before = box.bounding_box()
    page.get_by_label("4 times").check()
    after = box.bounding_box()
    assert before
    assert after
    assert after["width"] > 3 * before["width"]
    box.click()
    expect(page.get_by_role("heading", name=f"Detection {detection.pk}")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_page_of_a_project_fits_a_phone_with_a_long_name(
    page: Page, live_server: LiveServer, occurrence: Occurrence
) -> None:
    project = occurrence.project
    assert project is not None
    project.name = "W" * 250
    project.save()
    sign_in(page, live_server.url)
    page.set_viewport_size({"width": 380, "height": 800})
    page.goto(f"{live_server.url}/admin/main/project/{project.pk}/overview/")
    expect(page.get_by_role("heading", name=project.name)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
