"""Streams of rows from one consistent view of the database, in batches of bounded size."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

import ami
from ami.base.ids import id_array
from ami.base.postgresql import WHOLE_TABLE_WAYS
from ami.exchange.export import rows
from ami.exchange.export.catalogue import Catalogue
from ami.exchange.export.problems import Problems
from ami.exchange.export.rows import (
    NO_ANSWER,
    NO_PREDICTION,
    NOT_SEEN,
    Answer,
    Capture,
    Detection,
    Occurrence,
    Prediction,
    Seen,
    Span,
)
from ami.exchange.export.scope import Scope
from ami.jobs.engine.basis import ONE_SNAPSHOT
from ami.main.pictures import is_elsewhere

BATCH = 5_000
TIMES = 10_000
PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch  # `quote` would return it as it is
SOFTWARE = f"ami {ami.__version__}"


class Snapshot:
    """A transaction that sees the database as it was at its first query."""

    def __init__(self, own: BaseDatabaseWrapper) -> None:
        self._connection = own

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator["Snapshot"]:
        """Read on a connection of its own, so that the caller can write meanwhile.

        Within a transaction of the caller, read in that one.
        """
        if connection.in_atomic_block:
            yield cls(connection)
            return
        own = connection.copy()
        try:
            own.set_autocommit(False)
            with own.cursor() as cursor:
                cursor.execute(ONE_SNAPSHOT)
            yield cls(own)
        finally:
            own.close()

    def rows(self, sql: str, params: Any = None) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            found: list[Any] = cursor.fetchall()
            return found

    def compiled(self, queryset: QuerySet[Any, Any]) -> tuple[str, Any]:
        """The SQL of a queryset, and its parameters."""
        sql, params = queryset.query.get_compiler(connection=self._connection).as_sql()
        return sql, params

    @contextmanager
    def through_indexes(self) -> Iterator[None]:
        """Look up the rows of a batch by index, even if it is a large part of a small table."""
        self._execute("; ".join(f"SET LOCAL enable_{way} = off" for way in WHOLE_TABLE_WAYS))
        yield
        self._execute("; ".join(f"SET LOCAL enable_{way} = DEFAULT" for way in WHOLE_TABLE_WAYS))

    def _execute(self, sql: str, params: Any = None) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)

    def count(self, queryset: QuerySet[Any, Any]) -> int:
        sql, params = self.compiled(queryset.order_by().values("pk"))
        return int(self.rows(f"SELECT count(*) FROM ({sql}) counted", params)[0][0])  # noqa: S608

    def ids(self, queryset: QuerySet[Any, Any]) -> Iterator[list[int]]:
        """The ids of the rows, in order, from a cursor of the server.

        It is planned once, however many batches there are. Other queries may run between batches.
        """
        sql, params = self.compiled(queryset.order_by("pk").values("pk"))
        name = f"export_{id(queryset)}"
        with self._connection.cursor() as cursor:
            # PostgreSQL would otherwise choose a plan that is fast for the first rows only.
            cursor.execute("SET LOCAL cursor_tuple_fraction = 1")
            cursor.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {sql}", params)
            try:
                while True:
                    cursor.execute(f"FETCH {BATCH} FROM {name}")
                    ids = [pk for (pk,) in cursor.fetchall()]
                    if ids:
                        yield ids
                    if len(ids) < BATCH:
                        return
            finally:
                cursor.execute(f"CLOSE {name}")


class Source:
    """What a writer reads: streams of rows, and what they share.

    `on_batch` is called with the number of rows of a stream that are done. `url` is put before
    relative paths.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        scope: Scope,
        *,
        problems: Problems,
        media_url: str = "",
        on_batch: Callable[[int], object] = lambda rows: None,
    ) -> None:
        self.snapshot = snapshot
        self.scope = scope
        self.problems = problems
        self.catalogue = Catalogue(snapshot)
        self.software = SOFTWARE
        self._media_url = media_url
        self._on_batch = on_batch
        self._zones: dict[str, ZoneInfo] = {}
        # Most occurrences are first and last seen at the same time, and with others.
        self.local = lru_cache(TIMES)(self._local)
        self.iso = lru_cache(TIMES)(self._iso)

    @cached_property
    def project(self) -> str:
        found = self.snapshot.rows(
            "SELECT name FROM main_project WHERE id = %s", [self.scope.project_id]
        )
        return str(found[0][0]) if found else ""

    @cached_property
    def places(self) -> dict[int, Span]:
        """What the captures in scope span at each deployment, by its id."""
        spans = self._spans("deployment_id")
        self.catalogue.places.learn(spans)
        return spans

    @cached_property
    def nights(self) -> dict[int, Span]:
        """What the captures in scope span in each night, by its id."""
        spans = self._spans("event_id")
        self.catalogue.nights.learn(spans)
        return spans

    def occurrences(self) -> Iterator[Occurrence]:
        """The occurrences in scope, in the order of their ids."""
        for ids in self.snapshot.ids(self.scope.occurrences):
            with self.snapshot.through_indexes():
                found = self._read_occurrences(ids)
            yield from found
            self._on_batch(len(ids))

    def captures(self) -> Iterator[Capture]:
        """The captures in scope with their detections, in the order of their ids."""
        for ids in self.snapshot.ids(self.scope.captures):
            with self.snapshot.through_indexes():
                found = self._read_captures(ids)
            yield from found
            self._on_batch(len(ids))

    def classifications(self) -> Iterator[Prediction]:
        """All classifications of the detections in scope, captures in the order of their ids."""
        for ids in self.snapshot.ids(self.scope.captures):
            with self.snapshot.through_indexes():
                found = [Prediction._make(row) for row in self._rows(rows.CLASSIFICATIONS, ids)]
                self._learn(found)
            yield from found
            self._on_batch(len(ids))

    def url(self, path: str | None) -> str:
        """Return the path or address of a picture; "" if there is none.

        In an address that is made of a path, a character such as a blank or # is percent-encoded.
        """
        if not path or not self._media_url or is_elsewhere(path):
            return path or ""
        path = path.lstrip("/")
        return f"{self._media_url}{path if PLAIN(path) else quote(path)}"

    def _local(self, at: datetime | None, time_zone: str | None) -> datetime | None:
        """Return the time in the zone of its deployment; in UTC if that is not known."""
        if at is None:
            return None
        name = time_zone or "UTC"
        if name not in self._zones:
            try:
                self._zones[name] = ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError):
                self._zones[name] = ZoneInfo("UTC")
        return at.astimezone(self._zones[name])

    def _iso(self, at: datetime | None, time_zone: str | None) -> str:
        """Return the time with its offset, such as 2022-06-20T23:00:00-04:00; "" if unknown."""
        local = self.local(at, time_zone)
        return "" if local is None else local.isoformat(timespec="seconds")

    def _read_occurrences(self, ids: list[int]) -> list[Occurrence]:
        seen = defaultdict[int, list[Any]](list)
        for row in self._rows(rows.SEEN, ids):
            seen[row[0]].append(row)
        best = {
            row[0]: Prediction._make(row[1:]) for row in self._rows(rows.BEST_OF_OCCURRENCES, ids)
        }
        answers, people = self._answers(ids)
        found = []
        for row in self._rows(rows.OCCURRENCES, ids):
            pk = row[0]
            prediction = best.get(pk, NO_PREDICTION)
            found.append(
                Occurrence._make(
                    (
                        *row,
                        *_appearance(seen[pk]),
                        len(people[pk]) if pk in people else 0,
                        answers.get(pk, NO_ANSWER),
                        prediction,
                        _best_seen(seen[pk], prediction.detection_id),
                    )
                )
            )
        self.catalogue.places.learn(one.deployment_id for one in found)
        self.catalogue.nights.learn(one.event_id for one in found)
        self.catalogue.taxa.learn(one.taxon_id for one in found)
        self._learn([one.prediction for one in found])
        return found

    def _read_captures(self, ids: list[int]) -> list[Capture]:
        captures = [Capture._make((*row, [])) for row in self._rows(rows.CAPTURES, ids)]
        shown = {capture.id: capture.detections for capture in captures}
        detections = self._rows(rows.DETECTIONS, ids)
        best = {
            row[1]: Prediction._make(row)
            for row in self._rows(rows.BEST_OF_DETECTIONS, [pk for _, pk, *_ in detections])
        }
        answers, _ = self._answers({occurrence for *_, occurrence in detections if occurrence})
        for capture_id, *columns in detections:
            answer = answers.get(columns[-1], NO_ANSWER)
            prediction = best.get(columns[0], NO_PREDICTION)
            shown[capture_id].append(Detection._make((*columns, answer, prediction)))
        self.catalogue.places.learn(capture.deployment_id for capture in captures)
        self.catalogue.nights.learn(capture.event_id for capture in captures)
        self.catalogue.taxa.learn(answer.taxon_id for answer in answers.values())
        self.catalogue.algorithms.learn(columns[5] for columns in detections)
        self._learn(list(best.values()))
        return captures

    def _answers(self, ids: Iterable[int]) -> tuple[dict[int, Answer], dict[int, set[int]]]:
        """For each occurrence, the answer that counts, and the ids of those who identified it."""
        answers: dict[int, Answer] = {}
        people = defaultdict[int, set[int]](set)
        for pk, person, *columns in self._rows(rows.ANSWERS, ids):
            people[pk].add(person)
            answer = Answer._make(columns)
            if answer.taxon_id is not None:
                answers[pk] = answer
        return answers, people

    def _learn(self, predictions: Sequence[Prediction]) -> None:
        self.catalogue.taxa.learn(one.taxon_id for one in predictions)
        self.catalogue.algorithms.learn(one.algorithm_id for one in predictions)
        self.catalogue.runs.learn(one.job_id for one in predictions)

    def _rows(self, sql: str, ids: Iterable[int]) -> list[Any]:
        chosen = self.scope.occurrence_ids
        occurrences = None if chosen is None else id_array(chosen)
        return self.snapshot.rows(sql, {"ids": id_array(ids), "occurrences": occurrences})

    def _spans(self, column: str) -> dict[int, Span]:
        captures, params = self.snapshot.compiled(self.scope.captures.order_by().values("pk"))
        sql = rows.SPANS.format(column=column, captures=captures)
        return {pk: Span._make(row) for pk, *row in self.snapshot.rows(sql, params)}


def _appearance(seen: Sequence[Any]) -> tuple[int, datetime | None, datetime | None]:
    """The number of detections, and the first and last time."""
    times = [row[1] for row in seen if row[1] is not None]
    if not times:
        return len(seen), None, None
    return len(seen), min(times), max(times)


def _best_seen(seen: Sequence[Any], detection_id: int | None) -> Seen:
    """The detection of the best prediction, or the first one if there is none."""
    for row in seen:
        if row[2] == detection_id:
            return Seen._make(row[2:])
    return Seen._make(seen[0][2:]) if seen else NOT_SEEN
