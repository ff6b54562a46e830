"""Fixtures for all tests. The session uses real servers, by default embedded ones."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection, connections, transaction
from django.test import TransactionTestCase, override_settings
from hypothesis import settings as hypothesis_settings
from playwright.sync_api import Page, sync_playwright
from pytest_django import DjangoDbBlocker

from ami.base.garbage import spare_loaded_objects
from ami.base.tests.emptying import empty_tables
from ami.base.tests.plans import forget_statistics
from config.devservers import embedded
from config.tests.forks import CeleryProcess
from config.tests.processes import database_url

# A loaded machine makes a quick example slow, so no example has a deadline.
hypothesis_settings.register_profile("ami", deadline=None)
hypothesis_settings.load_profile("ami")

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape lone surrogates in a test's output, which a parallel run could not report."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with tests that mostly wait, while other processes compute, in any random order.

    Each process gets consecutive tests, and idle processes take tests from the end. So the first
    tests stay together, and the servers of a module start only once.
    """
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


def pytest_collection_finish() -> None:
    """Exclude imported objects from garbage collection, which took 10% of the time."""
    spare_loaded_objects()


@pytest.fixture(scope="session")
def services() -> None:
    """Keep the servers running for the session."""
    embedded.hold(settings.DATABASE_URL, settings.REDIS_URL)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    services: None, django_db_modify_db_settings_parallel_suffix: None
) -> None:
    """Start the servers before Django creates the test database, one per test process.

    pytest-django calls this first.
    """


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let every test start with empty tables without statistics, whatever ran before it."""
    prepare: Any = TransactionTestCase.setUpClass

    def begin(case: type[TransactionTestCase]) -> None:
        forget_statistics()  # before the transaction of the test, which is rolled back
        prepare.__func__(case)

    with django_db_blocker.unblock():
        empty_tables()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "setUpClass", classmethod(begin))
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty_tables())
        yield


@pytest.fixture(scope="module")
def module_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let fixtures of a module make rows once, with which each of its tests starts.

    A test that writes is rolled back to them. A module that uses this has no test that commits.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run show its progress at its end only: a slow one would execute more statements."""
    monkeypatch.setattr("ami.jobs.engine.parts.PROGRESS_SECONDS", math.inf)


@pytest.fixture(scope="session", autouse=True)
def media_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the files of the tests and their processes apart from those of the demo."""
    folder = tmp_path_factory.mktemp("media")
    with override_settings(MEDIA_ROOT=folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDIA_ROOT", str(folder))
        yield folder


@pytest.fixture(scope="session")
def session_worker(
    django_db_setup: None, media_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Run a real worker on the test database; yields its node name. Tests use `celery_worker`."""
    node = f"{connection.settings_dict['NAME']}@localhost"
    arguments = ("worker", "--concurrency=1", "--without-gossip", "--without-mingle", "-n", node)
    # Load the tests' own methods, as for a module that was added to the package.
    include = "--include=ami.ml.post_processing.tests.shapes_in_the_worker"
    soft = (include, "--", "worker.soft_shutdown_timeout=0.1")
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    with _keys_of_the_worker():
        worker = CeleryProcess(*arguments, *soft, log=log, DATABASE_URL=database_url())
    try:
        with _keys_of_the_worker():
            _wait_for_ping(worker, node)
        yield node
    finally:
        worker.stop()
        worker.kill()


@pytest.fixture
def celery_worker(session_worker: str) -> Iterator[str]:
    """Publish to the session's real worker while the test runs; yields the worker's node name.

    The worker uses its own keys in Redis, so that it takes no messages from tests that act as the
    worker themselves, and does not answer their requests.

    A test that uses it commits: `@pytest.mark.django_db(transaction=True)`.
    """
    with _keys_of_the_worker():
        current_app.control.purge()
        yield session_worker


@contextmanager
def _keys_of_the_worker() -> Iterator[None]:
    """Let this process, and those that it starts, use the worker's keys in Redis."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    prefix = f"{options['global_keyprefix']}worker:"
    with (
        override_settings(CELERY_BROKER_TRANSPORT_OPTIONS=options | {"global_keyprefix": prefix}),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TEST_KEYPREFIX", prefix)
        _forget_connections()
        yield
    _forget_connections()


def _forget_connections() -> None:
    """Let Celery open its next broker connection with the current keys."""
    app: Any = current_app
    app._pool = app.amqp._producer_pool = None


def _wait_for_ping(worker: CeleryProcess, node: str) -> None:
    deadline = time.monotonic() + 60
    while not current_app.control.ping(destination=[node], timeout=0.5):
        if not worker.is_running() or time.monotonic() > deadline:
            pytest.fail(f"The Celery worker did not start:\n{worker.log.read_text()}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Find Chromium: `CHROMIUM`, else on the PATH; without it, the test is skipped.

    `CI` or `REQUIRE_BROWSER` in the environment turns the skip into a failure.
    """
    names = [os.environ["CHROMIUM"]] if os.environ.get("CHROMIUM") else CHROMIUM_NAMES
    if found := next(filter(None, map(shutil.which, names)), None):
        return found
    reason = f"Chromium was not found as {', '.join(names)}. Install it, or set CHROMIUM."
    if os.environ.get("CI") or os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser_url(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve one browser for the session; yields where tests connect to it."""
    config = tmp_path_factory.mktemp("browser") / "server.json"
    options = {"executablePath": chromium, "args": CHROMIUM_FLAGS, "headless": True}
    config.write_text(json.dumps(options | {"host": "127.0.0.1"}))
    command = ("-m", "playwright", "launch-server", "--browser=chromium", f"--config={config}")
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            os.killpg(server.pid, signal.SIGTERM)  # the command itself does not forward signals


@pytest.fixture
def page(browser_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Open an empty page in a real browser, with its own cookies.

    A test fails at its end if the browser refused content because of the Content-Security-Policy.
    """
    # Playwright runs an event loop in this thread; Django's own calls do not enter it.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect(browser_url)
        page, refused = browser.new_page(), []
        page.context.on("console", lambda said: refused.append(said.text))
        yield page
        connections.close_all()  # the connections that Django opened inside the event loop
        browser.close()
    if violations := [text for text in refused if "Content Security Policy" in text]:
        pytest.fail("\n".join(violations))
