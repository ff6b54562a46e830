"""The review of a sample in a real browser: keys, touch, two ways to look, and lost connections."""

from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.links import change_url
from ami.base.tests.browser import sign_in, without_script
from ami.main.models import Identification
from ami.review.models import Judgement, Sample
from ami.review.tests.samples import make_sample, make_species

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/admin/review/{}/"


@pytest.fixture
def opened(page: Page, live_server: LiveServer) -> Any:
    """Open the page of a sample; an error of its scripts fails the test."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    sign_in(page, live_server.url)

    def open_it(sample: Sample, query: str = "") -> Page:
        page.goto(live_server.url + PATH.format(sample.pk) + query)
        return page

    yield open_it
    assert not errors


def item(page: Page) -> Any:
    return page.locator(".item:visible:not(.answered)").first


def answers(sample: Sample) -> list[tuple[int, str]]:
    said = Judgement.objects.filter(item__sample=sample, withdrawn=False)
    return list(said.order_by("item__position").values_list("item__position", "verdict"))


def test_one_key_is_one_answer(opened: Any) -> None:
    sample = make_sample(items=9, blind=False)
    page = opened(sample)
    for key in ("ArrowUp", "ArrowDown", "ArrowRight", "?"):
        page.keyboard.press(key)
    expect(item(page).get_by_role("heading", name="Item 5")).to_be_visible()
    expect(page.get_by_text("3 of 9 items done")).to_be_visible()
    assert answers(sample) == [(1, "right"), (2, "wrong"), (3, "skipped"), (4, "cannot_tell")]
    for position in (4, 3, 2, 1):
        page.keyboard.press("ArrowLeft")
        expect(item(page).get_by_role("heading", name=f"Item {position}")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("There is no answer of yours to take back.")).to_be_visible()
    assert answers(sample) == []
    assert [one.withdrawn for one in Identification.objects.all()] == [True]
    seconds = Judgement.objects.values_list("seconds", flat=True)
    assert all(one is not None and 0 <= one < 60 for one in seconds)


def test_long_names_do_not_widen_the_pages(opened: Any) -> None:
    sample = make_sample(items=1, name="Moths" + 195 * "w", blind=False)
    page = opened(sample)
    page.set_viewport_size({"width": 380, "height": 800})
    for address in (page.url, urljoin(page.url, change_url(Sample, sample.pk))):
        page.goto(address)
        expect(page.get_by_role("heading", name="Moths")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
    page.set_viewport_size({"width": 1200, "height": 800})
    title, tools = (page.locator(one).bounding_box() for one in ("#content h1", ".object-tools"))
    assert title["x"] + title["width"] <= tools["x"], "no button covers the title"


def test_keys_are_not_offered_without_scripts(opened: Any) -> None:
    sample = make_sample(items=1, blind=False)
    signed_in = opened(sample)
    with without_script(signed_in) as page:
        page.goto(signed_in.url)
        expect(page.get_by_text("Show or hide the whole frame")).to_be_hidden()
        expect(page.locator("kbd").first).to_be_hidden()
        page.get_by_role("button", name="Right").click()
        expect(page.get_by_text("1 of 1 item done")).to_be_visible()
    assert answers(sample) == [(1, "right")]


def test_names_are_typed_and_remembered(opened: Any) -> None:
    sample = make_sample(items=6)
    for name in ("Zale lunata", "Zale galbanata", "Actias luna"):
        make_species(name)
    page = opened(sample)
    page.keyboard.press("i")
    page.keyboard.type("luna")
    expect(page.get_by_role("option")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Item 1: you say Zale lunata.")).to_be_visible()
    page.keyboard.press("i")
    page.keyboard.type("galb")
    page.keyboard.press("Enter")  # faster than the suggestions
    expect(page.get_by_role("button", name="2 Zale galbanata")).to_be_visible()
    page.keyboard.press("1")
    expect(page.get_by_text("Item 3: you say Zale lunata.")).to_be_visible()
    page.keyboard.press("2")
    expect(page.get_by_text("Item 4: you say Zale galbanata.")).to_be_visible()
    page.keyboard.press("i")
    page.keyboard.type("xyz")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("No taxon is named “xyz”.")
    expect(item(page).get_by_role("heading", name="Item 5")).to_be_visible()
    named = Judgement.objects.order_by("pk").values_list("taxon__name", "blind")
    assert list(named) == [
        ("Zale lunata", True),
        ("Zale galbanata", True),
        ("Zale lunata", True),
        ("Zale galbanata", True),
    ]


def test_the_name_is_shown_on_demand(opened: Any) -> None:
    sample = make_sample(items=2)
    name = str(sample.items.get(position=1).taxon)
    page = opened(sample)
    expect(page.get_by_role("button", name="Right")).to_have_count(0)
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("status")).to_contain_text("press n to show the name")
    page.keyboard.press("n")
    expect(item(page).locator(".name")).to_have_text(name)
    page.keyboard.press("ArrowUp")
    expect(page.get_by_text(f"Item 1: {name} is right.")).to_be_visible()
    expect(item(page).locator(".name")).to_have_text("What is it?")
    assert [one.blind for one in Judgement.objects.all()] == [False]


def test_keys_can_be_switched_off(opened: Any) -> None:
    sample = make_sample(items=3, blind=False)
    page = opened(sample)
    switch = page.get_by_label("Use single keys on this page")
    switch.uncheck()
    page.reload()
    expect(switch).not_to_be_checked()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Wrong").click()
    expect(page.get_by_text("is wrong.")).to_be_visible()
    assert answers(sample) == [(1, "wrong")]
    item(page).get_by_label("It is").fill("?")
    assert len(answers(sample)) == 1


def test_a_grid_is_answered_item_by_item(opened: Any) -> None:
    sample = make_sample(items=26, blind=False)
    page = opened(sample, "?grid=1")
    expect(page.locator(".item:visible")).to_have_count(24)
    page.keyboard.press("ArrowUp")
    page.get_by_role("button", name="Wrong").nth(4).click()
    expect(page.locator(".item.answered")).to_have_count(2)
    page.keyboard.press("ArrowDown")  # the one after it
    expect(page.get_by_text("Item 6:")).to_be_visible()
    assert answers(sample) == [(1, "right"), (5, "wrong"), (6, "wrong")]
    for _ in range(21):
        page.keyboard.press("?")
    expect(page.locator(".item:visible")).to_have_count(2)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".item:visible")).to_have_count(3, timeout=30_000)
    for _ in range(3):
        page.keyboard.press("?")
    expect(page.get_by_text("Nothing is left for you to answer.")).to_be_visible()
    assert len(answers(sample)) == 26


def test_answers_survive_a_lost_connection(opened: Any) -> None:
    sample = make_sample(items=5, blind=False)
    page = opened(sample)
    lost = {"is": True}

    def fail(route: Route) -> None:
        if lost["is"]:
            route.abort()
        else:
            route.continue_()

    page.route("**/answer/", fail)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("alert")).to_contain_text("not kept")
    assert answers(sample) == []
    lost["is"] = False
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_text("2 of 5 items done")).to_be_visible()
    assert answers(sample) == [(1, "right"), (2, "wrong")]


def test_a_script_gives_a_hundred_answers(opened: Any) -> None:
    sample = make_sample(items=105, blind=False)
    named = make_species("Zale lunata")
    page = opened(sample)
    page.keyboard.press("i")
    page.keyboard.type(named.name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="1 Zale lunata")).to_be_visible()
    for position in range(2, 101):
        expect(item(page).get_by_role("heading", name=f"Item {position}")).to_be_visible()
        page.keyboard.press(("ArrowUp", "ArrowDown", "1", "?")[position % 4])
    expect(page.get_by_text("100 of 105 items done")).to_be_visible()
    assert [position for position, _ in answers(sample)] == list(range(1, 101))
