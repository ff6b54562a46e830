"""The Content-Security-Policy: on every page, kept by every page, and its reports."""

import json
import logging
import re
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.conf import settings
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import sign_in
from ami.base.tests.factories import make_project, make_user

HEADER = "Content-Security-Policy"
VIEWS = ("change", "delete", "history")
EXECUTED = (None, "text/javascript", "module")
REPORT = {
    "document-uri": "http://a/\n b",
    "blocked-uri": "inline",
    "effective-directive": "x" * 999,
}


def broken_rules(html: str) -> list[str]:
    """Whatever of a page a browser would refuse to apply or run."""
    soup = BeautifulSoup(html, "html.parser")
    scripts = [tag for tag in soup("script") if tag.get("type") in EXECUTED and not tag.get("src")]
    marked = [
        tag
        for tag in soup(True)
        if any(name == "style" or name.startswith("on") for name in tag.attrs)
        or str(tag.get("href", "")).strip().lower().startswith("javascript:")
    ]
    return [str(tag)[:200] for tag in (*scripts, *soup("style"), *marked)]


@pytest.mark.parametrize(
    "html",
    [
        "<p style='color: red'>",
        "<style>p {}</style>",
        "<script>f()</script>",
        "<a onclick='f()'>",
        "<a href='javascript:f()'>",
    ],
)
def test_inline_content_is_found(html: str) -> None:
    assert broken_rules(html)


def test_policy_is_strict() -> None:
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    assert "unsafe" not in str(directives)
    assert directives["default-src"] == ["'none'"]


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/", "/healthz", "/nowhere", "/"])
@pytest.mark.django_db
def test_every_answer_has_the_policy(client: Client, path: str) -> None:
    policy = client.get(path)[HEADER]
    assert "script-src 'self';" in policy
    assert policy.endswith("report-uri /csp-report")


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_lists_and_forms_have_nothing_inline(model: type[Model], admin_client: Client) -> None:
    for view in ("changelist", "add"):
        try:
            url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}")
        except NoReverseMatch:
            continue
        response = admin_client.get(url)
        assert response.status_code in {200, 403}
        assert broken_rules(response.text) == []


def test_pages_of_one_row_have_nothing_inline(admin_client: Client) -> None:
    project, user = make_project(), make_user()
    urls = [
        *(reverse(f"admin:main_project_{view}", args=[project.pk]) for view in VIEWS),
        reverse("admin:auth_user_password_change", args=[user.pk]),
        reverse("admin:password_change"),
        reverse("admin:app_list", args=["main"]),
    ]
    for url in urls:
        response = admin_client.get(url)
        assert response.status_code == 200
        assert broken_rules(response.text) == []


@pytest.mark.django_db(transaction=True)
def test_browser_shows_the_meaning_of_a_crontab(page: Page, live_server: LiveServer) -> None:
    sign_in(page, live_server.url)
    crontab = CrontabSchedule.objects.create(minute="5", hour="4")
    task = PeriodicTask.objects.create(name="Tick", task="ami.jobs.tasks.tick", crontab=crontab)
    page.goto(f"{live_server.url}/admin/django_celery_beat/periodictask/{task.pk}/change/")
    expect(page.locator(".field-crontab .help")).to_contain_text("At 04:05")
    page.get_by_label("Crontab Schedule").select_option("")
    expect(page.locator(".field-crontab .help")).not_to_contain_text("At 04:05")


@pytest.mark.django_db(transaction=True)
def test_browser_runs_the_scripts_of_the_admin(page: Page, live_server: LiveServer) -> None:
    user = sign_in(page, live_server.url)
    page.goto(f"{live_server.url}/admin/users/user/{user.pk}/change/")
    page.get_by_role("link", name="Choose all groups").or_(page.locator(".selector")).first.hover()
    expect(page.locator(".calendar-shortcuts, .date-icon").first).to_be_attached()
    page.locator(".date-icon").first.click()
    expect(page.locator(".calendarbox").first).to_be_visible()
    page.goto(f"{live_server.url}/admin/main/occurrence/add/")
    page.locator(".select2-selection").first.click()
    expect(page.locator(".select2-results")).to_be_visible()


def test_report_is_logged_as_one_short_line(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ami.base.csp"):
        answer = post(client, json.dumps({"csp-report": REPORT}))
    assert answer.status_code == 204
    assert re.fullmatch(r"A browser refused content of a page: \{.{1,900}\}", caplog.messages[0])
    assert '"blocked-uri": "inline"' in caplog.messages[0]


@pytest.mark.parametrize(
    "body", ["", "x", "[]", "{}", '{"csp-report": 1}', "\ud83d", "[" * 9_000, "\x00"]
)
def test_odd_report_is_refused(client: Client, body: str) -> None:
    assert post(client, body.encode(errors="surrogatepass")).status_code == 400


def test_large_report_is_refused(client: Client) -> None:
    assert post(client, "x" * 10_001).status_code == 413
    assert client.get("/csp-report").status_code == 405


def post(client: Client, body: str | bytes) -> Any:
    return client.post("/csp-report", body, content_type="application/csp-report")
