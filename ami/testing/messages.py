"""Celery without a broker and without a worker: messages wait until a test has them delivered."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from celery import current_app


class KilledError(BaseException):
    """A worker ends in the middle of its work. No code catches this error."""


class Messages:
    """Takes the messages that are sent. `monkeypatch` puts `send_task` in Celery's place."""

    def __init__(self) -> None:
        current_app.loader.import_default_modules()  # as a worker does, to register the tasks
        self._waiting: deque[tuple[str, tuple[Any, ...], str | None]] = deque()

    def send_task(
        self, name: str, args: Sequence[Any] = (), task_id: str | None = None, **options: Any
    ) -> None:
        self._waiting.append((name, tuple(args), task_id))

    def deliver(self) -> None:
        """Run the tasks in this process until no message is left.

        If a worker is killed, its message is delivered again, as a broker does.
        """
        while self._waiting:
            name, args, task_id = message = self._waiting.popleft()
            try:
                current_app.tasks[name].apply(args, task_id=task_id, throw=True)
            except KilledError:
                self._waiting.append(message)
