"""Tests of every check with the faults declared for it in `faults`."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import QuerySet

from ami.base.tests.factories import make_classification, make_detection
from ami.base.tests.snapshots import snapshot
from ami.integrity.finding import EVERYTHING, Survey
from ami.main.checks.declarations import CHECKS, Check, reconciler
from ami.main.checks.schemas import IntegrityCheckResult
from ami.main.checks.tests import faults
from ami.main.checks.tests.world import FAULTS, TABLES, Rows, World, make_world
from ami.main.counts import refresh_counts
from ami.main.models import Occurrence

pytestmark = pytest.mark.django_db
__all__ = ["faults"]  # which declare themselves

Make = Callable[[World], Rows]
CASES = [(CHECKS[key], make) for key in sorted(FAULTS) for make in FAULTS[key]]


def over(cases: list[tuple[Check, Make]]) -> pytest.MarkDecorator:
    ids = [f"{check.key}-{make.__name__}" for check, make in cases]
    return pytest.mark.parametrize(("check", "make"), cases, ids=ids)


each_check = pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
each_fault = over(CASES)
each_repair = over([case for case in CASES if case[0].repair])
each_report = over([case for case in CASES if not case[0].repair])


def found(check: Check, world: World | None = None, *, job: bool = False) -> Rows:
    project_id = world.project.pk if world and not job else None
    job_id = world.job.pk if world and job else None
    return {
        (rows.model, row.pk)
        for pair in check.pairs
        if isinstance(rows := pair.get(project_id, job_id), QuerySet)
        for row in rows
    }


def reconcile(check: Check, world: World, *, dry_run: bool) -> IntegrityCheckResult:
    total = IntegrityCheckResult()
    for pair in check.pairs:
        done = reconciler("reconcile", pair)(world.project.pk, dry_run=dry_run)
        total.checked += done.checked
        total.fixed += done.fixed
        total.unfixable += done.unfixable
    return total


def rows_of() -> dict[tuple[str, int], Any]:
    """Return all rows by table and id, without the time of the last change and cached counts.

    Cached counts have their own check.
    """
    return {
        (table, row["id"]): {
            k: v for k, v in row.items() if k != "updated_at" and not k.endswith("_count")
        }
        for table, rows in snapshot(*TABLES).items()
        for row in rows
    }


def test_every_check_has_a_fault_maker_and_every_fault_a_check() -> None:
    assert set(FAULTS) == set(CHECKS)


@each_check
def test_healthy_rows_are_not_found(check: Check, world: World) -> None:
    assert found(check) == set()


@each_fault
def test_fault_is_found_and_nothing_else(
    check: Check, make: Make, world: World, other: World
) -> None:
    broken = make(world)

    assert found(check) == broken
    assert found(check, world) == broken
    assert found(check, other) == set()
    assert found(check, other, job=True) == set()


def test_pass_over_all_rows_finds_the_same_as_each_check() -> None:
    for makers in FAULTS.values():
        for make in makers:
            make(make_world())
    of_nobody = make_detection()
    for _ in range(2):
        make_classification(detection=of_nobody, algorithm=None, terminal=True)
    refresh_counts()
    survey = Survey(EVERYTHING)
    shared = [pair for check in CHECKS.values() for pair in check.pairs if pair.one_pass]

    told = [survey.found(pair)[:2] for pair in shared]

    ids = [sorted(pair.get(None, None).values_list("pk", flat=True)) for pair in shared]
    assert all(ids)
    assert told == [(len(pks), pks[:100]) for pks in ids]


@each_fault
def test_job_has_the_faults_on_what_it_classified(check: Check, make: Make, world: World) -> None:
    """An occurrence without detections is not in the scope of any Job."""
    broken = make(world)
    empty = Occurrence.objects.filter(detections=None).values_list("pk", flat=True)

    assert found(check, world, job=True) == broken - {(Occurrence, pk) for pk in empty}


@each_fault
def test_dry_run_counts_and_writes_nothing(check: Check, make: Make, world: World) -> None:
    broken = make(world)
    before = str(snapshot(*TABLES))

    assert reconcile(check, world, dry_run=True) == IntegrityCheckResult(checked=len(broken))

    assert str(snapshot(*TABLES)) == before


@each_repair
def test_repair_repairs_exactly_the_fault(
    check: Check, make: Make, world: World, other: World
) -> None:
    """The same fault in another project is left alone."""
    make(other)
    healthy = rows_of()
    number = len(make(world))

    done = reconcile(check, world, dry_run=False)

    assert done == IntegrityCheckResult(checked=number, fixed=number)
    assert found(check, world) == set()
    assert found(check, other)
    assert reconcile(check, world, dry_run=False) == IntegrityCheckResult()
    after = rows_of()
    assert {key: after.get(key) for key in healthy} == healthy
    refresh_counts()
    assert found(CHECKS["stale_counts"], world) == set()


@each_report
def test_what_no_rule_can_repair_is_left_alone(check: Check, make: Make, world: World) -> None:
    number = len(make(world))
    refresh_counts()
    before = str(snapshot(*TABLES))

    done = reconcile(check, world, dry_run=False)

    assert done == IntegrityCheckResult(checked=number, unfixable=number)
    assert str(snapshot(*TABLES)) == before
