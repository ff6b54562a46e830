from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.signals import after_task_publish


@pytest.fixture
def published() -> Iterator[list[tuple[str, list[Any]]]]:
    """The messages that go out: (task id, arguments)."""
    messages: list[tuple[str, list[Any]]] = []

    def note(headers: dict[str, Any], body: tuple[list[Any], Any, Any], **kwargs: Any) -> None:
        messages.append((headers["id"], body[0]))

    after_task_publish.connect(note)
    yield messages
    after_task_publish.disconnect(note)


@pytest.fixture
def broker_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point what is published at a port that nobody listens on."""
    app = Celery("nowhere", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.update(broker_url="redis://127.0.0.1:1/0")
    monkeypatch.setattr("ami.jobs.models.run_state.current_app", app)
