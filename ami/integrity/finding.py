"""Count the faulty rows of a scope, in one query per pair or per pass that several pairs share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction

from ami.main.checks.declarations import Pair
from ami.main.checks.schemas import SAMPLES

# Counts together with the first ids, because most checks evaluate every row of a table.
FOUND = f"""
SELECT fault, cardinality(ids), ids[:{SAMPLES}]
FROM (SELECT fault, array_agg(id ORDER BY id) FROM ({{rows}}) r (fault, id) GROUP BY fault)
     f (fault, ids)
"""  # noqa: S608 -- constants


@dataclass(frozen=True)
class Scope:
    """The rows of a run: of a project, classified by a Job, both, or all if neither is set."""

    project_id: int | None = None
    job_id: int | None = None


EVERYTHING = Scope()


class Found(NamedTuple):
    """The number of faulty rows of a pair, and the first 100 ids."""

    rows: int
    first: list[int]


NOTHING = Found(0, [])


class Survey:
    """What the pairs find in a scope. A pass that several pairs share is read by the first one."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._passes: dict[str, dict[str, Found]] = {}

    def forget(self) -> None:
        """Read the rows again, because they were repaired."""
        self._passes.clear()

    def found(self, pair: Pair) -> Found:
        """Count the faulty rows of the pair."""
        if pair.one_pass is None or self.scope != EVERYTHING:
            rows = pair.get(self.scope.project_id, self.scope.job_id).order_by().values("pk")
            try:
                query, params = rows.query.sql_with_params()
            except EmptyResultSet:
                return NOTHING
            return _read(f"SELECT '', * FROM ({query}) q", params).get("", NOTHING)  # noqa: S608
        query, fault = pair.one_pass
        if query not in self._passes:
            self._passes[query] = _read(query)
        return self._passes[query].get(fault, NOTHING)


def _read(query: str, params: Sequence[Any] = ()) -> dict[str, Found]:
    # An outer transaction survives if the query fails.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FOUND.format(rows=query), params)
        return {fault: Found(*found) for fault, *found in cursor.fetchall()}
