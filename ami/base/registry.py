"""The one way in which a low layer learns of things that higher ones declare."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


class UnknownKeyError(KeyError):
    """Nothing is registered under the key; the message names what is."""

    def __str__(self) -> str:
        return str(self.args[0])


class Registry(Mapping[str, T]):
    """A read-only mapping, key → entry, filled through :meth:`register`.

    `noun` is the word for an entry in messages ("method", "check").
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._entries: dict[str, T] = {}

    def register(self, key: str, entry: T) -> T:
        """Add `entry` and return it. Raises ValueError where the key is taken by another one."""
        if self._entries.setdefault(key, entry) is not entry:
            raise ValueError(f"Two {self.noun}s claim the key {key!r}; rename one of them.")
        return entry

    def __getitem__(self, key: str) -> T:
        try:
            return self._entries[key]
        except KeyError:
            known = ", ".join(sorted(self._entries)) or "none"
            raise UnknownKeyError(f"Unknown {self.noun} {key!r}. Registered: {known}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
