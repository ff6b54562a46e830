"""The fixtures of conftest.py: a real worker and a real browser, both on the test database."""

import pytest
from celery import current_app
from django.db import connection
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.factories import make_user


def test_worker_answers_on_every_queue(celery_worker: str) -> None:
    queues = current_app.control.inspect(destination=[celery_worker]).active_queues()
    assert queues is not None
    assert {queue["name"] for queue in queues[celery_worker]} == {"ami", "post_processing"}


def test_worker_keeps_away_from_tests_that_do_not_ask_for_it(session_worker: str) -> None:
    assert current_app.control.ping(timeout=0.5) == []
    current_app.control.purge()
    current_app.send_task("ami.jobs.tasks.tick")
    assert current_app.control.purge() == 1


@pytest.mark.django_db(transaction=True)
def test_browser_signs_in_to_the_admin(live_server: LiveServer, page: Page) -> None:
    make_user(email="a@example.org", password="secret", is_staff=True, is_superuser=True)
    assert str(connection.settings_dict["NAME"]).startswith("test_")

    page.goto(f"{live_server.url}/")
    page.get_by_label("E-mail address").fill("a@example.org")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Log in").click()

    assert page.title().startswith("Site administration")
