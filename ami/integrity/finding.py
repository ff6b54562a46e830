"""Count the faulty rows of a scope, in one query per pair or per pass that several pairs share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet

from ami.main.checks.declarations import Pair
from ami.main.checks.schemas import SAMPLES

BATCH_SIZE = 5_000
# Counts together with the ids, because most checks evaluate every row of a table. Only the first
# ids and the first id of each batch leave the server.
FOUND = f"""
SELECT fault, cardinality(ids), ids[:{SAMPLES}],
       ARRAY(SELECT ids[place] FROM generate_series(1, cardinality(ids), {{size}}) place)
FROM (SELECT fault, array_agg(id ORDER BY id) FROM ({{rows}}) r (fault, id) GROUP BY fault)
     f (fault, ids)
"""  # noqa: S608 -- constants
# A report runs in the background, so it uses one core; parallel workers take more CPU time in all,
# because some hash a table again in each of them. Rows are stored nearly in the order of their ids,
# so that an index on ids reads a table about as fast as a scan; merge joins then replace joins and
# sorts that are written to disk. PostgreSQL overestimates what these queries find, and would
# compile them for longer than that saves.
PLANNING = """
SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL random_page_cost = 1.1; SET LOCAL jit = off
"""


@dataclass(frozen=True)
class Scope:
    """The rows of a run: of a project, classified by a Job, both, or all if neither is set.

    `tables` restricts it to the tables with these model labels, and to these ids unless None.
    """

    project_id: int | None = None
    job_id: int | None = None
    tables: Mapping[str, Sequence[int] | None] | None = None

    def rows(self, pair: Pair) -> QuerySet[Any]:
        """Return the faulty rows of the pair in this scope."""
        if self.tables is None:
            return pair.get(self.project_id, self.job_id)
        return pair.get(self.project_id, self.job_id, self.tables.get(pair.label, []))


EVERYTHING = Scope()


class Found(NamedTuple):
    """The number of faulty rows of a pair, the first 100 ids, and the first id of each batch."""

    rows: int
    first: list[int]
    starts: list[int]


NOTHING = Found(0, [], [])


class Survey:
    """What the pairs find in a scope. A pass that several pairs share is read by the first one."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._found: dict[tuple[str, Sequence[Any]], dict[str, Found]] = {}

    def found(self, pair: Pair) -> Found:
        """Count the faulty rows of the pair; a second call returns the same."""
        if pair.one_pass and self.scope == EVERYTHING:
            return self._read(pair.one_pass.query).get(pair.one_pass.fault, NOTHING)
        try:
            rows = self.scope.rows(pair).order_by().values("pk")
            query, params = rows.query.sql_with_params()
        except EmptyResultSet:
            return NOTHING
        return self._read(f"SELECT '', * FROM ({query}) q", params).get("", NOTHING)  # noqa: S608

    def _read(self, query: str, params: Sequence[Any] = ()) -> dict[str, Found]:
        if (query, params) not in self._found:
            # An outer transaction survives if the query fails, and keeps its settings.
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(PLANNING)
                cursor.execute(FOUND.format(rows=query, size=BATCH_SIZE), params)
                found = {fault: Found(*rest) for fault, *rest in cursor.fetchall()}
                transaction.set_rollback(True)
            self._found[query, params] = found
        return self._found[query, params]
