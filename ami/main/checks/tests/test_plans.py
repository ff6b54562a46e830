"""PostgreSQL's plans of the checks never sort or hash vectors."""

from collections.abc import Iterable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_taxon
from ami.base.tests.plans import arranged_vectors, explain, plannable
from ami.integrity.finding import EVERYTHING, Scope
from ami.main.checks.declarations import CHECKS, Check
from ami.main.checks.tests import faults
from ami.main.checks.tests.repairing import repair
from ami.main.checks.tests.world import FAULTS, World, make_world
from ami.ml.integrity_checks import UNRESOLVED
from ami.ml.models import AlgorithmCategoryMap

__all__ = ["faults"]  # which declare themselves


def statements(checks: Iterable[Check], scope: Scope) -> list[str]:
    """Return all statements of a repair of the checks."""
    with CaptureQueriesContext(connection) as queries:
        repair(checks, scope=scope)
    return plannable(query["sql"] for query in queries)


@pytest.mark.django_db
def test_no_plan_for_everything_sorts_or_hashes_vectors() -> None:
    for key in CHECKS:
        world = make_world()
        for make in FAULTS[key]:
            make(world)
    asked = statements(CHECKS.values(), EVERYTHING)
    assert len(asked) > 3 * len(CHECKS)

    assert arranged_vectors(asked) == []


@pytest.mark.django_db
@pytest.mark.parametrize("cut", ["project", "job"])
@pytest.mark.parametrize("key", sorted(CHECKS))
def test_no_plan_sorts_or_hashes_vectors(key: str, cut: str, world: World) -> None:
    for make in FAULTS[key]:
        make(world)
    scopes = {
        "project": Scope(project_id=world.project.pk),
        "job": Scope(job_id=world.job.pk),
    }
    asked = statements([CHECKS[key]], scopes[cut])
    assert len(asked) > 3

    assert arranged_vectors(asked) == []


@pytest.mark.django_db
def test_labels_of_a_map_are_read_once_and_not_for_each_other() -> None:
    entries = [{"index": index, "label": f"Class {index}"} for index in range(50)]
    AlgorithmCategoryMap.objects.create(data=entries)
    make_taxon(gbif_taxon_key=7)

    read = [
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in explain(UNRESOLVED, option="ANALYZE")
        if node["Node Type"] == "Function Scan"
    ]

    assert 50 < sum(read) < 50 * 3
