"""Registries, through which a lower layer learns about the objects of higher layers."""

from collections.abc import Iterator, MutableMapping
from typing import TypeVar

T = TypeVar("T")


class UnknownKeyError(KeyError):
    """The key is not registered; the message lists the registered keys."""

    def __str__(self) -> str:
        return str(self.args[0])


class Registry(MutableMapping[str, T]):
    """A mapping from keys to entries, in the order of the keys, which refuses duplicate keys.

    `registry[key] = entry` is the same as :meth:`register`, and `del` removes an entry. `noun` is
    the word for an entry in messages ("method", "check").
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._entries: dict[str, T] = {}

    def register(self, key: str, entry: T) -> T:
        """Add `entry` and return it. Raises ValueError if another entry has the key."""
        self[key] = entry
        return entry

    def __setitem__(self, key: str, entry: T) -> None:
        if self._entries.setdefault(key, entry) is not entry:
            raise ValueError(f"Two {self.noun}s have the key {key!r}; rename one of them.")

    def __delitem__(self, key: str) -> None:
        self[key]
        del self._entries[key]

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
