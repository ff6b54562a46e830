"""The page of a Job in a real browser: it follows the Job with few requests."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import sign_in
from ami.base.tests.factories import make_project, make_user
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.states import Outcome, PartState
from ami.jobs.tests.admin import LIST, make_parts, page_of
from ami.jobs.tests.job_types import make_job

pytestmark = pytest.mark.django_db(transaction=True)
HIDE = """value => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def operator(page: Page, live_server: LiveServer) -> Page:
    """A signed-in browser whose clock only the test moves, however slow the machine is."""
    sign_in(page, live_server.url)
    page.clock.install()
    page.clock.pause_at(datetime.now() + timedelta(days=1))
    return page


def requests_of(page: Page) -> list[str]:
    """The requests for the live part of the page."""
    sent: list[str] = []

    def note(path: str) -> None:
        if path.endswith("/live/"):
            sent.append(path)

    page.on("request", lambda request: note(urlsplit(request.url).path))
    return sent


def test_page_follows_a_job_until_it_ends(operator: Page, live_server: LiveServer) -> None:
    page, sent = operator, requests_of(operator)
    job = make_job(status=JobState.STARTED)
    make_parts(job, *[PartState.QUEUED] * 200)
    page.goto(live_server.url + page_of(job))
    expect(page.get_by_text("0 %, 0 of 20,000 rows")).to_be_visible()
    expect(page.get_by_text("200 queued")).to_be_visible()
    assert not sent

    JobPart.objects.filter(number__lte=50).update(state=PartState.DONE, rows_done=100)
    with page.expect_response("**/live/"):
        page.clock.run_for(1_000)
    expect(page.get_by_text("25 %, 5,000 of 20,000 rows")).to_be_visible()
    expect(page.get_by_text("50 done, 150 queued")).to_be_visible()
    assert len(sent) == 1

    Job.objects.update(status=JobState.REVOKED, outcome=Outcome.CANCELED)
    with page.expect_response("**/live/"):
        page.clock.run_for(1_000)
    expect(page.get_by_text("The run committed 5,000 of 20,000 rows")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.clock.run_for(10_000)
    assert len(sent) == 2


def test_hidden_page_asks_for_nothing(operator: Page, live_server: LiveServer) -> None:
    page, sent = operator, requests_of(operator)
    page.goto(live_server.url + page_of(make_job(status=JobState.STARTED)))
    page.evaluate(HIDE, True)
    page.clock.run_for(60_000)
    assert not sent
    page.evaluate(HIDE, False)
    with page.expect_response("**/live/"):
        page.clock.run_for(1_000)
    assert len(sent) == 1


def test_page_of_a_deleted_job_says_that_it_is_old(operator: Page, live_server: LiveServer) -> None:
    job = make_job(status=JobState.STARTED)
    operator.goto(live_server.url + page_of(job))
    job.delete()
    with operator.expect_response("**/live/"):
        operator.clock.run_for(1_000)
    expect(operator.get_by_text("This page no longer updates.")).to_be_visible()


def test_button_of_the_page_is_pressed(operator: Page, live_server: LiveServer) -> None:
    job = make_job(status=JobState.STARTED)
    make_parts(job, PartState.DONE, PartState.QUEUED)
    operator.goto(live_server.url + page_of(job))
    operator.get_by_role("button", name="Pause").click()
    expect(operator.get_by_role("button", name="Resume")).to_be_visible()
    assert Job.objects.get().status == JobState.PAUSED


def test_list_fits_without_cut_columns(operator: Page, live_server: LiveServer) -> None:
    page = operator
    job = make_job(
        name="L" * 255,
        status=JobState.SUCCESS,
        outcome=Outcome.PROBLEMS,
        project=make_project(name="P" * 255),
        user=make_user(name="\u202eOdd person", email=f"{'e' * 60}@example.org"),
    )
    stage = job.progress.add_stage("Stage")
    for name in ("classifications_checked", "classifications_masked", "likely_off_list"):
        job.progress.add_or_update_stage_param(stage, name, 1_234_567).warning = "Look."
    job.save()
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(live_server.url + LIST)
    table = page.locator(".results")
    assert table.evaluate("node => node.scrollWidth <= node.clientWidth")
    for width in (360, 800):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
