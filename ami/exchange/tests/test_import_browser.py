"""From an upload to its rows, in a browser."""

import json
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import sign_in
from ami.base.tests.factories import make_project
from ami.exchange.tests.exports import make_example, make_record
from ami.exchange.tests.uploads import ADD, imported
from ami.jobs.models import Job
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import Classification, Occurrence

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_folder")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that adds an occurrence and changes another."""
    project = make_project(name="Vermont")
    imported([make_record(1)], project)
    path = tmp_path / "night.json"
    examples = [make_example(1, 0, score=0.75), make_example(1, 1)]
    path.write_text(json.dumps([make_record(1, examples=examples), make_record(2)]))
    return path


def upload(page: Page, url: str, file: Path) -> None:
    page.goto(url + reverse(ADD))
    page.get_by_label("File:").set_input_files(file)
    page.get_by_label("Project:").select_option("Vermont")
    page.get_by_role("button", name="Upload and show the plan").click()
    expect(page.get_by_text("reads the file and writes nothing.")).to_be_visible()


def test_upload_is_planned_updated_and_applied(
    page: Page, live_server: LiveServer, file: Path
) -> None:
    sign_in(page, live_server.url)
    upload(page, live_server.url, file)
    expect(page.get_by_role("heading", name="Plan")).to_have_count(0)
    run_to_end(Job.objects.latest("pk"))
    expect(page.get_by_role("heading", name="Plan")).to_be_visible()  # without a reload
    expect(page.get_by_text("score: 0.5 → 0.75")).to_be_visible()

    page.get_by_role("link", name="Run again…").click()
    page.get_by_label("Update").check()
    page.get_by_role("button", name="Show the plan").click()
    run_to_end(Job.objects.latest("pk"))
    page.get_by_role("button", name="Apply this dry run").click()
    job = run_to_end(Job.objects.latest("pk"))
    expect(page.get_by_role("heading", name="What became of the rows")).to_be_visible()
    assert not job.dry_run
    assert Occurrence.objects.count() == 2
    assert Classification.objects.filter(score=0.75).exists()


def test_upload_works_without_javascript(page: Page, live_server: LiveServer, file: Path) -> None:
    assert page.context.browser
    page = page.context.browser.new_page(java_script_enabled=False)
    sign_in(page, live_server.url)
    upload(page, live_server.url, file)
    run_to_end(Job.objects.latest("pk"))
    page.reload()
    expect(page.get_by_text("Nothing has been written yet.")).to_be_visible()
    page.get_by_role("button", name="Apply this dry run").click()
    run_to_end(Job.objects.latest("pk"))
    page.reload()
    expect(page.get_by_role("heading", name="What became of the rows")).to_be_visible()
    assert Occurrence.objects.count() == 2


def test_refused_file_is_told_on_the_form(page: Page, live_server: LiveServer, file: Path) -> None:
    sign_in(page, live_server.url)
    file.write_text('{"a": 1}')
    page.goto(live_server.url + reverse(ADD))
    page.get_by_label("File:").set_input_files(file)
    page.get_by_role("button", name="Upload and show the plan").click()
    expect(page.get_by_text("night.json is a JSON object with a")).to_be_visible()
