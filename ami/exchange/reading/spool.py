"""What a reader keeps until all rows that belong together are there.

Formats that divide captures and detections between tables allow any order of rows. The rows wait in
a private file on disk, which vanishes with the spool, so that memory does not grow with them.
"""

import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import IntEnum
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

START = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16000;  -- KB
CREATE TABLE capture (
    n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, place TEXT NOT NULL, said INTEGER NOT NULL,
    record BLOB NOT NULL
);
CREATE TABLE part (
    n INTEGER PRIMARY KEY, bundle TEXT NOT NULL, capture TEXT, whole INTEGER NOT NULL,
    value BLOB NOT NULL
);
CREATE TABLE detail (key TEXT NOT NULL, n INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (key, n)) WITHOUT ROWID;
BEGIN;
"""
# Bundles in the order of their first parts, each with its parts in their own order. `several` says
# that parts of other bundles are about the whole capture, too.
BUNDLES = """
SELECT part.bundle, part.value, capture.record, part.whole AND part.several
FROM (
    SELECT *, min(n) OVER (PARTITION BY bundle) AS first,
        min(bundle) FILTER (WHERE whole) OVER (PARTITION BY capture)
        <> max(bundle) FILTER (WHERE whole) OVER (PARTITION BY capture) AS several
    FROM part
) AS part
LEFT JOIN capture ON capture.key = part.capture
ORDER BY part.first, part.n
"""


class Said(IntEnum):
    """What rows say about a capture; the greater outweighs."""

    NOTHING = 0
    EMPTY = 1
    SEEN = 2


class Kept(NamedTuple):
    """A capture with its place in the file; `capture` is None if it cannot be imported."""

    place: str
    said: Said
    capture: Any


class Part(NamedTuple):
    """A part of a bundle, with its capture if that can be imported; `known` if it was kept.

    `shared` says that it is about a whole capture, and that parts of other bundles are, too.
    """

    value: Any
    capture: Any
    known: bool
    shared: bool


class Spool:
    """Captures by key, parts of occurrences by bundle, and details by key."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator["Spool"]:
        # The garbage collector closes a reader that was not read to its end, in any thread.
        with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as db:
            db.executescript(START)
            yield cls(db)

    def add_capture(self, key: str, place: str, capture: Any) -> bool:
        """Keep a capture; False if another one has the key."""
        done = self._db.execute(
            "INSERT OR IGNORE INTO capture (key, place, said, record) VALUES (?, ?, 0, ?)",
            (key, place, pickle.dumps(capture)),
        )
        return done.rowcount == 1

    def say(self, key: str, said: Said) -> None:
        """Remember what a row says about a capture."""
        self._db.execute("UPDATE capture SET said = max(said, ?) WHERE key = ?", (int(said), key))

    def captures(self) -> Iterator[Kept]:
        """Yield all captures in the order in which they came."""
        sql = "SELECT place, said, record FROM capture ORDER BY n"
        for place, said, record in self._db.execute(sql):
            yield Kept(place, Said(said), _value(record))

    def add_part(
        self, bundle: str, value: Any, *, capture: str | None = None, whole: bool = False
    ) -> None:
        """Keep a part of a bundle, which may refer to a capture by its key, or to all of it."""
        self._db.execute(
            "INSERT INTO part (bundle, capture, whole, value) VALUES (?, ?, ?, ?)",
            (bundle, capture, whole, pickle.dumps(value)),
        )

    def bundles(self) -> Iterator[list[Part]]:
        """Yield the parts of each bundle, in the order in which they came."""
        for _, rows in groupby(self._db.execute(BUNDLES), key=itemgetter(0)):
            yield [
                Part(
                    _value(value),
                    _value(record) if record else None,
                    record is not None,
                    bool(shared),
                )
                for _, value, record, shared in rows
            ]

    def add_detail(self, key: str, number: int, value: Any) -> None:
        """Keep a detail under a key, of which it is the one with the number."""
        self._db.execute("INSERT INTO detail VALUES (?, ?, ?)", (key, number, pickle.dumps(value)))

    def details(self, key: str) -> list[Any]:
        """Return the details of a key by their numbers."""
        sql = "SELECT value FROM detail WHERE key = ? ORDER BY n"
        return [_value(value) for (value,) in self._db.execute(sql, (key,))]


def _value(content: bytes) -> Any:
    return pickle.loads(content)  # noqa: S301 -- written by this process
