from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.signals import after_task_publish

from ami.jobs.tests.queues import purge
from ami.jobs.watch import broker, health, stale
from config.tests.tally import table


@pytest.fixture
def published() -> Iterator[list[tuple[str, list[Any]]]]:
    """The published messages, as (task id, arguments)."""
    messages: list[tuple[str, list[Any]]] = []

    def note(headers: dict[str, Any], body: tuple[list[Any], Any, Any], **kwargs: Any) -> None:
        messages.append((headers["id"], body[0]))

    after_task_publish.connect(note)
    yield messages
    after_task_publish.disconnect(note)


@pytest.fixture
def broker_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish to a port on which nothing listens."""
    app = Celery("nowhere", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.update(broker_url="redis://127.0.0.1:1/0")
    monkeypatch.setattr("ami.jobs.models.part.current_app", app)


@pytest.fixture
def empty_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty broker, whose answers are not waited for."""
    monkeypatch.setattr(stale, "LOOK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(broker, "LOOK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(health, "PING_SECONDS", 0.01)
    purge()
    yield
    purge()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End `make chaos` with a table of what it did."""
    if terminalreporter.config.getoption("markexpr") != "chaos":
        return
    stats = terminalreporter.stats
    failed = {report.nodeid for kind in ("failed", "error") for report in stats.get(kind, [])}
    terminalreporter.section("chaos")
    for line in table(failed):
        terminalreporter.write_line(line)
