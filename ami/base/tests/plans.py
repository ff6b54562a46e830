"""Checks of PostgreSQL's plans, such as whether they sort or hash rows with vectors."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connection
from django.db.models import Model

VECTORS = re.compile(r"\b(scores|logits|similarity_vector)$")
TABLES_OF_VECTORS = re.compile(r"\bmain_(classification|detection)\b")
ARRANGING = {"Sort", "Incremental Sort", "Hash", "SetOp", "Unique"}
# Plans that the planner may choose later, forced by disabling others.
WAYS: dict[str, tuple[str, ...]] = {
    "as few rows ask for": (),
    "hashing": ("enable_nestloop", "enable_mergejoin", "enable_indexscan", "enable_indexonlyscan"),
    "sorting": ("enable_nestloop", "enable_hashjoin", "enable_hashagg"),
}


def plannable(statements: Iterable[str]) -> list[str]:
    """Return the statements that EXPLAIN supports, and the queries of COPY."""
    read = (re.sub(r"^COPY \((.*)\) TO .*$", r"\1", sql.strip(), flags=re.S) for sql in statements)
    return [sql for sql in read if re.match(r"(SELECT|WITH|UPDATE|DELETE|INSERT)\b", sql)]


def explain(statement: str, *, option: str = "VERBOSE") -> Iterator[dict[str, Any]]:
    """Return the nodes of the statement's plan."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ({option}, FORMAT JSON) {statement.replace('%', '%%')}", ())
        ((plan,),) = cursor.fetchone()
    return _nodes(plan["Plan"])


def call_tables_empty() -> None:
    """Set the statistics to empty tables, as during a first import."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_class SET reltuples = 0, relpages = greatest(relpages, 1) "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )


def planned_rows(model: type[Model]) -> int:
    """Return the number of rows in PostgreSQL's statistics; -1 if there are none yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table]
        )
        return int(cursor.fetchone()[0])


def arranged_vectors(statements: Iterable[str]) -> list[str]:
    """Return the vectors in rows that any plan of a statement sorts or hashes.

    Of statements that differ only in their numbers, one is planned.
    """
    alike = {re.sub(r"\d+", "0", sql): sql for sql in statements if TABLES_OF_VECTORS.search(sql)}
    return [
        f"{way}: {node['Node Type']} of {column} in {sql}"
        for way, switched_off in WAYS.items()
        for sql, node in _explained(alike.values(), without=switched_off)
        if _arranges_rows(node)
        for column in node.get("Output", ())
        if VECTORS.search(column)
    ]


def indexes_of(statement: str) -> set[str]:
    """Return the indexes of a plan that may neither read a whole table nor sort.

    Otherwise small tables would be read completely, as they still are if no index can be used.
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


def forget_statistics() -> None:
    """Set the statistics to those of tables that were never analyzed, if the user may do so.

    A test that analyzes tables, as imports do, leaves its numbers of rows and pages, although it is
    rolled back. With those of an almost empty table, any plan seems to be cheap.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_class WHERE reltuples >= 0 AND relkind = 'r' "
            "AND relnamespace = 'public'::regnamespace "
            "AND has_table_privilege('pg_class', 'UPDATE') LIMIT 1"
        )
        if cursor.fetchone() is not None:
            cursor.execute(
                "UPDATE pg_class SET reltuples = -1, relpages = 0 "
                "WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace"
            )
