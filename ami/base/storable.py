"""Values made fit for PostgreSQL, which takes neither NUL characters nor half characters."""

from math import isfinite
from typing import Any


def storable_text(text: str) -> str:
    """`text` without NUL characters; a lone surrogate becomes a question mark."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def storable(value: Any) -> Any:
    """`value` as a JSON column can hold it; what JSON does not know becomes its text."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case dict():
            return {storable_text(str(key)): storable(item) for key, item in value.items()}
        case list() | tuple():
            return [storable(item) for item in value]
    return storable(value.tolist()) if hasattr(value, "tolist") else storable_text(str(value))
