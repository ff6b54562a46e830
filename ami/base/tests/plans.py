"""How PostgreSQL goes about statements: whether it sorts or hashes rows that carry vectors."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connection
from django.db.models import Model

VECTORS = re.compile(r"\b(scores|logits|similarity_vector)$")
ARRANGING = {"Sort", "Incremental Sort", "Hash", "SetOp", "Unique"}
# Ways that the planner may come to prefer, by what it may not take.
WAYS: dict[str, tuple[str, ...]] = {
    "as few rows ask for": (),
    "hashing": ("enable_nestloop", "enable_mergejoin", "enable_indexscan", "enable_indexonlyscan"),
    "sorting": ("enable_nestloop", "enable_hashjoin", "enable_hashagg"),
}


def plannable(statements: Iterable[str]) -> list[str]:
    """Those that EXPLAIN takes, and what a COPY reads."""
    read = (re.sub(r"^COPY \((.*)\) TO .*$", r"\1", sql.strip(), flags=re.S) for sql in statements)
    return [sql for sql in read if re.match(r"(SELECT|WITH|UPDATE|DELETE|INSERT)\b", sql)]


def explain(statement: str, *, option: str = "VERBOSE") -> Iterator[dict[str, Any]]:
    """The nodes of the statement's plan."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ({option}, FORMAT JSON) {statement.replace('%', '%%')}", ())
        ((plan,),) = cursor.fetchone()
    return _nodes(plan["Plan"])


def call_tables_empty() -> None:
    """Have statistics say that no table has rows, as they do while a first import writes them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_class SET reltuples = 0, relpages = greatest(relpages, 1) "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )


def planned_rows(model: type[Model]) -> int:
    """How many rows PostgreSQL plans with; -1 where nobody has counted yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table]
        )
        return int(cursor.fetchone()[0])


def arranged_vectors(statements: Iterable[str]) -> list[str]:
    """The vectors in rows that a plan of a statement sorts or hashes, whichever way it takes."""
    return [
        f"{way}: {node['Node Type']} of {column} in {sql}"
        for way, switched_off in WAYS.items()
        for sql, node in _explained(statements, without=switched_off)
        if _arranges_rows(node)
        for column in node.get("Output", ())
        if VECTORS.search(column)
    ]


def indexes_of(statement: str) -> set[str]:
    """The indexes that a plan goes by where it may neither read a whole table nor sort.

    Those of few rows would be read whole; what no index can answer still is.
    """
    ways = ("enable_seqscan", "enable_bitmapscan", "enable_sort")
    nodes = [node for _, node in _explained([statement], without=ways)]
    whole = {f"all of {node['Relation Name']}" for node in nodes if node["Node Type"] == "Seq Scan"}
    whole |= {node["Node Type"] for node in nodes if "Sort" in node["Node Type"]}
    return {node["Index Name"] for node in nodes if "Index Name" in node} | whole


def _explained(
    statements: Iterable[str], *, without: Iterable[str]
) -> list[tuple[str, dict[str, Any]]]:
    with connection.cursor() as cursor:
        for name in without:
            cursor.execute(f"SET LOCAL {name} = off")
        explained = [(sql, node) for sql in statements for node in explain(sql)]
        for name in without:
            cursor.execute(f"SET LOCAL {name} = on")
    return explained


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _arranges_rows(node: dict[str, Any]) -> bool:
    hashes = node["Node Type"] == "Aggregate" and node["Strategy"] == "Hashed"
    return hashes or node["Node Type"] in ARRANGING
