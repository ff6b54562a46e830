"""From a fault to its repair in a real browser, with a real worker."""

import re

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import sign_in
from ami.integrity.models import IntegrityRun
from ami.jobs.models import Job, JobState
from ami.main.checks.tests.test_batches import make_undetermined
from ami.main.models import Occurrence
from config.tests.processes import wait_until

LIST = "/admin/integrity/integrityrun/"


@pytest.fixture
def operator(page: Page, live_server: LiveServer) -> Page:
    sign_in(page, live_server.url)
    return page


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("celery_worker")
def test_operator_checks_repairs_and_schedules(operator: Page, live_server: LiveServer) -> None:
    page, ids = operator, make_undetermined(3)
    page.goto(live_server.url + LIST)
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_text("A check was queued.")).to_be_visible()
    wait_until(IntegrityRun.objects.filter(finished_at__isnull=False).exists, seconds=60)

    page.reload()
    page.locator("#result_list .field-started a").click()
    row = page.locator("tr", has_text="Occurrence without a determination")
    expect(row.locator(".integrity")).to_have_text("Found")
    expect(row.get_by_role("link", name="3 occurrences")).to_be_visible()

    page.get_by_role("link", name="Repair…").click()
    expect(page.get_by_label("Occurrence without a determination")).to_be_checked()
    expect(page.get_by_label("Capture in the wrong project")).not_to_be_checked()
    assert not Job.objects.exists()
    page.get_by_role("button", name="Repair").click()

    expect(page.locator(".job-status")).to_have_text(re.compile("^Succeeded"), timeout=60_000)
    expect(page.get_by_role("link", name="Revert…")).to_be_visible()
    assert Job.objects.get().status == JobState.SUCCESS
    assert not Occurrence.objects.filter(pk__in=ids, determination=None).exists()

    page.goto(live_server.url + LIST)
    page.get_by_role("button", name="Schedule it daily").click()
    expect(page.get_by_text("next run")).to_be_visible()
    expect(page.get_by_role("button", name="Schedule it daily")).to_be_hidden()
