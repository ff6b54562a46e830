"""How PostgreSQL goes about the checks: whatever way it takes, no vector is sorted or hashed."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_taxon
from ami.main.checks.declarations import CHECKS, Check
from ami.main.checks.runner import EVERYTHING, Scope, run_checks
from ami.main.checks.tests import faults
from ami.main.checks.tests.world import FAULTS, execute, make_world
from ami.main.checks.unresolved_labels import UNRESOLVED
from ami.ml.models import AlgorithmCategoryMap

__all__ = ["faults"]  # which declare themselves

VECTORS = re.compile(r"\b(scores|logits|similarity_vector)$")
ARRANGING = {"Sort", "Incremental Sort", "Hash", "SetOp"}
# Ways that the planner may come to prefer, by what it may not take.
WAYS: dict[str, tuple[str, ...]] = {
    "as few rows ask for": (),
    "hashing": ("enable_nestloop", "enable_mergejoin", "enable_indexscan", "enable_indexonlyscan"),
    "sorting": ("enable_nestloop", "enable_hashjoin", "enable_hashagg"),
}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def explain(option: str, statement: str) -> Iterator[dict[str, Any]]:
    """The nodes of the statement's plan."""
    ((plan,),) = execute(f"EXPLAIN ({option}, FORMAT JSON) {statement.replace('%', '%%')}")
    return nodes(plan["Plan"])


def arranges_rows(node: dict[str, Any]) -> bool:
    hashes = node["Node Type"] == "Aggregate" and node["Strategy"] == "Hashed"
    return hashes or node["Node Type"] in ARRANGING


def arranged_vectors(statement: str) -> list[str]:
    """The vectors in the rows that the statement's plan sorts or hashes."""
    return [
        f"{node['Node Type']} of {column}"
        for node in explain("VERBOSE", statement)
        if arranges_rows(node)
        for column in node.get("Output", ())
        if VECTORS.search(column)
    ]


def statements(check: Check, scope: Scope) -> list[str]:
    """Everything that a repair of the check reads and writes."""
    with CaptureQueriesContext(connection) as queries:
        run_checks([check], scope=scope, dry_run=False)
    told = [query["sql"].strip() for query in queries]
    return [sql for sql in told if re.match(r"(SELECT|WITH|UPDATE|DELETE|INSERT)\b", sql)]


@pytest.mark.django_db
@pytest.mark.parametrize("cut", ["everything", "project", "job"])
@pytest.mark.parametrize("key", sorted(CHECKS))
def test_no_plan_sorts_or_hashes_vectors(key: str, cut: str) -> None:
    world = make_world()
    for make in FAULTS[key]:
        make(world)
    scopes = {
        "everything": EVERYTHING,
        "project": Scope(project_id=world.project.pk),
        "job": Scope(job_id=world.job.pk),
    }
    asked = statements(CHECKS[key], scopes[cut])
    assert len(asked) > 3

    for switched_off in WAYS.values():
        for name in switched_off:
            execute(f"SET LOCAL {name} = off")
        for sql in asked:
            assert arranged_vectors(sql) == [], sql
        for name in switched_off:
            execute(f"SET LOCAL {name} = on")


@pytest.mark.django_db
def test_labels_of_a_map_are_read_once_and_not_for_each_other() -> None:
    entries = [{"index": index, "label": f"Class {index}"} for index in range(50)]
    AlgorithmCategoryMap.objects.create(data=entries)
    make_taxon(gbif_taxon_key=7)

    read = [
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in explain("ANALYZE", UNRESOLVED)
        if node["Node Type"] == "Function Scan"
    ]

    assert 50 < sum(read) <= 100
