"""What every test may use. The session runs on real servers, embedded where none are named."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection, connections
from django.test import TransactionTestCase, override_settings
from playwright.sync_api import Page, sync_playwright
from pytest_django import DjangoDbBlocker

from ami.base.tests.emptying import empty_tables
from config import embedded

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def services() -> None:
    """Keep the servers running for the session."""
    embedded.hold(settings.DATABASE_URL, settings.REDIS_URL)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    services: None, django_db_modify_db_settings_parallel_suffix: None
) -> None:
    """Have the servers before Django makes the test database, one per test process.

    pytest-django calls this first.
    """


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Have every test begin with empty tables, whatever has run before it."""
    with django_db_blocker.unblock():
        empty_tables()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty_tables())
        yield


@pytest.fixture(scope="session", autouse=True)
def media_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests' files, and those of the processes they start, apart from the demo's."""
    folder = tmp_path_factory.mktemp("media")
    with override_settings(MEDIA_ROOT=folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDIA_ROOT", str(folder))
        yield folder


@pytest.fixture(scope="module")
def celery_worker(
    django_db_setup: None, media_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Run a real worker on the test database and queue; yields its node name.

    It ends with the module, so that it takes no message of tests that play the worker themselves.

    A test that uses it commits: `@pytest.mark.django_db(transaction=True)`.
    """
    node = "tests@localhost"
    database = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}")
    current_app.control.purge()
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    arguments = ("worker", "--concurrency=1", "--without-gossip", "--without-mingle", "-n", node)
    with log.open("w") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "config", *arguments],
            cwd=settings.ROOT,
            env=os.environ | {"DATABASE_URL": database.geturl()},
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for_ping(worker, node, log)
        yield node
    finally:
        worker.terminate()
        worker.wait(timeout=30)


def _wait_for_ping(worker: subprocess.Popen[bytes], node: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not current_app.control.ping(destination=[node], timeout=0.5):
        if worker.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"The Celery worker did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Find a Chromium: `CHROMIUM`, else on the PATH; without one the test is skipped.

    `CI` or `REQUIRE_BROWSER` in the environment turns the skip into a failure.
    """
    names = [os.environ["CHROMIUM"]] if os.environ.get("CHROMIUM") else CHROMIUM_NAMES
    if found := next(filter(None, map(shutil.which, names)), None):
        return found
    reason = f"No Chromium: none of {', '.join(names)} is there. Install one, or set CHROMIUM."
    if os.environ.get("CI") or os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def page(chromium: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Open an empty page in a real browser."""
    # Playwright runs an event loop in this thread; Django's own calls do not enter it.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_FLAGS, headless=True
        )
        yield browser.new_page()
        connections.close_all()  # those that Django keeps for code inside this event loop
        browser.close()
