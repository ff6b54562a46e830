"""What browser tests share."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.test import Client
from playwright.sync_api import Page

from ami.base.tests.factories import make_user
from ami.users.models import User


def sign_in(page: Page, url: str) -> User:
    """Give the browser the session of a new superuser on the server at `url`."""
    client, user = Client(), make_user(is_staff=True, is_superuser=True)
    client.force_login(user)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url}])
    return user


@contextmanager
def without_script(page: Page) -> Iterator[Page]:
    """Open a page of the same session in a browser without JavaScript."""
    browser, session = page.context.browser, page.context.storage_state()
    assert browser
    with browser.new_context(java_script_enabled=False, storage_state=session) as context:
        yield context.new_page()
