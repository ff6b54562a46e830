"""JSON documents whose lists are too long for memory."""

import json
from collections.abc import Iterable
from typing import IO, Any


class JsonDocument:
    """An object that is written key by key. Close it, to complete the document."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._separator = "{\n"

    def add(self, key: str, value: Any) -> None:
        """Write a key with a value."""
        self._write(f"{self._separator}{_text(key)}: {_text(value)}")
        self._separator = ",\n"

    def add_list(self, key: str, values: Iterable[Any]) -> None:
        """Write a key with a list, one item per line, as they come."""
        self._write(f"{self._separator}{_text(key)}: [")
        separator = "\n"
        for value in values:
            self._write(f"{separator}{_text(value)}")
            separator = ",\n"
        self._write("\n]")
        self._separator = ",\n"

    def close(self) -> None:
        self._write("\n}\n")

    def _write(self, text: str) -> None:
        self._target.write(text.encode(errors="replace"))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
